"""Which columns of a table hold what of a document; importing it costs nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Columns of a table by what they hold; all others are metadata."""

    text: str = "text"
    """Column of the texts."""
    title: str = "title"
    """Column of the titles, where there are any."""
    id: str = ""
    """Column of the ids; without it _id or id, or else the file, as it was given, and
    the line."""
