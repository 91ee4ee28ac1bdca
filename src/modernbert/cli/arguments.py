"""What a command takes without a name: its type, and the word that help shows for it."""

from pathlib import Path
from typing import Annotated

import tyro

Model = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
Source = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
Text = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TEXT")]
Query = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="QUERY")]
Folder = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
File = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
Models = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL...")]
Paths = Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATH...")]
