"""The tables of the docs that are made of the code are those of this code."""

from __future__ import annotations

import pytest
from parts_tables import COMMAND, page_of, table_below, tables


@pytest.mark.parametrize(("heading", "made"), [*tables()])
def test_is_a_table_the_one_that_is_made_of_the_code(heading: str, made: str) -> None:
    assert table_below(heading, page_of(heading).read_text())[1] == made, COMMAND
