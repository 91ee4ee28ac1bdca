"""A filter's name in, datatrove's filter with the limits that were asked for out."""

from collections.abc import Callable
from typing import final

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from modernbert.data.clean.blocks.steps import Dropped
from modernbert.data.clean.blocks.words import WORDS
from modernbert.data.clean.options import CleanOptions

_OFF = -1


def _gopher_repetition(options: CleanOptions, dropped: Dropped) -> PipelineStep:
    limits = options.gopher_repetition
    return GopherRepetitionFilter(
        dup_line_frac=limits.lines,
        dup_para_frac=limits.paragraphs,
        dup_line_char_frac=limits.line_characters,
        dup_para_char_frac=limits.paragraph_characters,
        top_n_grams=tuple((n, share) for n, share in enumerate(limits.top_ngrams, 2) if share),
        dup_n_grams=tuple(
            (n, share) for n, share in enumerate(limits.duplicate_ngrams, 5) if share
        ),
        exclusion_writer=dropped,
        language=WORDS,
    )


def _gopher_quality(options: CleanOptions, dropped: Dropped) -> PipelineStep:
    limits = options.gopher_quality
    return GopherQualityFilter(
        min_doc_words=limits.min_words,
        max_doc_words=limits.max_words,
        min_avg_word_length=limits.min_word_length,
        max_avg_word_length=limits.max_word_length,
        max_symbol_word_ratio=limits.max_symbols,
        max_bullet_lines_ratio=limits.max_bullets,
        max_ellipsis_lines_ratio=limits.max_ellipses,
        max_non_alpha_words_ratio=limits.min_alphabetic,
        min_stop_words=limits.min_stop_words,
        stop_words=list(limits.stop_words),
        exclusion_writer=dropped,
        language=WORDS,
    )


@final
class _C4(C4QualityFilter):  # type: ignore[misc]
    """datatrove's, which may leave nothing of a text where few sentences are asked for."""

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        is_kept = super().filter(doc)
        return (False, "no_line_is_left") if is_kept is True and not doc.text else is_kept


def _c4(options: CleanOptions, dropped: Dropped) -> PipelineStep:
    limits = options.c4
    return _C4(
        exclusion_writer=dropped,
        remove_citations=limits.citations,
        filter_no_terminal_punct=limits.end_punctuation,
        min_num_sentences=limits.min_sentences or _OFF,
        min_words_per_line=limits.min_line_words or _OFF,
        max_word_length=limits.max_word_characters or _OFF,
        filter_lorem_ipsum=limits.lorem_ipsum,
        filter_javascript=limits.javascript,
        filter_curly_bracket=limits.curly_brackets,
        filter_policy=limits.policies,
        language=WORDS,
    )


def _fineweb(options: CleanOptions, dropped: Dropped) -> PipelineStep:
    limits = options.fineweb
    return FineWebQualityFilter(
        exclusion_writer=dropped,
        line_punct_thr=limits.min_ended_lines,
        short_line_thr=limits.max_short_lines,
        short_line_length=limits.short_line,
        char_duplicates_ratio=limits.max_repeated_characters,
        new_line_ratio=limits.max_line_breaks,
        language=WORDS,
    )


MAKERS: dict[str, Callable[[CleanOptions, Dropped], PipelineStep]] = {
    "gopher-repetition": _gopher_repetition,
    "gopher-quality": _gopher_quality,
    "c4": _c4,
    "fineweb": _fineweb,
}
