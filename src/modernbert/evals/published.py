"""Scores that others published of their models, carried over with their source."""

from dataclasses import dataclass

_WARNER = "Warner et al., arXiv 2412.13663, table 5"
_LE_BRETON = "Le Breton et al., arXiv 2502.19587"


@dataclass(frozen=True, slots=True)
class Published:
    """A model's scores on GLUE's dev parts."""

    model: str
    source: str
    scores: tuple[float, ...]
    """In the order of CoLA, SST-2, MRPC, STS-B, QQP, MNLI, QNLI, RTE."""


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "glue": (
        Published("BERT base", _WARNER, (59.0, 93.1, 89.5, 89.4, 91.4, 85.4, 91.6, 78.2)),
        Published("RoBERTa base", _WARNER, (63.6, 94.8, 90.2, 91.2, 91.9, 87.6, 92.8, 78.7)),
        Published("DeBERTaV3 base", _WARNER, (69.2, 95.6, 89.5, 91.6, 92.4, 90.0, 94.0, 83.8)),
        Published("MosaicBERT base", _WARNER, (58.2, 93.5, 89.0, 90.3, 92.0, 85.6, 91.4, 83.0)),
        Published("NomicBERT base", _WARNER, (50.0, 93.0, 88.0, 90.0, 92.0, 86.0, 92.0, 82.0)),
        Published("GTE-en-MLM base", _WARNER, (57.0, 93.4, 92.1, 90.2, 88.8, 86.7, 91.9, 84.8)),
        Published("ModernBERT base", _WARNER, (65.1, 96.0, 92.2, 91.8, 92.1, 89.1, 93.9, 87.4)),
        Published("NeoBERT", _LE_BRETON, (66.2, 95.6, 93.4, 91.8, 90.7, 89.0, 93.7, 91.3)),
        Published("BERT large", _WARNER, (56.2, 93.3, 87.8, 90.6, 90.9, 86.3, 92.8, 83.8)),
        Published("RoBERTa large", _WARNER, (68.0, 96.4, 90.9, 92.4, 92.2, 90.2, 94.7, 86.6)),
        Published("DeBERTaV3 large", _WARNER, (75.3, 96.9, 92.2, 93.0, 93.3, 91.8, 96.0, 92.7)),
        Published("GTE-en-MLM large", _WARNER, (60.4, 95.1, 93.5, 91.4, 89.2, 89.2, 93.9, 88.1)),
        Published("ModernBERT large", _WARNER, (71.4, 97.1, 91.7, 92.8, 92.7, 90.8, 95.2, 92.1)),
    ),
}
"""By suite, in the order of its tasks; a suite of which nobody published has none."""
