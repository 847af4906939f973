"""Names that no config may give are those that the tables use."""

from benchmark.core.reserved import COLUMNS
from benchmark.records.rows import TIME, TRAINING
from benchmark.report.best_by_budget import BUDGET
from benchmark.report.columns import CLASSIFIER, GUIDANCE, IDENTITY, RAW, TASK, TRAINED
from benchmark.report.results_table import COSTS, DISTANCES, REPORT


def test_all_columns_of_the_tables_are_reserved() -> None:
    used = {
        column.key
        for column in [
            *IDENTITY,
            GUIDANCE,
            CLASSIFIER,
            TRAINED,
            RAW,
            *TASK,
            *DISTANCES,
            *COSTS,
            *REPORT,
            *BUDGET,
        ]
    }
    assert used | {TIME, TRAINING} == COLUMNS
