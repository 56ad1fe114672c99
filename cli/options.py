"""Options that several commands share, each defined once."""

from __future__ import annotations

import click

json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE|-",
    help="Also write the result as JSON; with -, standard output holds only that.",
)
