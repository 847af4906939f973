"""Make the controls of a data set: images of known quality that are judged as samples are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.seeds import stream_seed
from benchmark.core.values import Value
from benchmark.data import load as load_data
from benchmark.data.controls import CONTROLS
from benchmark.records.draft import Draft
from benchmark.records.record import Record
from benchmark.records.sections import MadeControls
from benchmark.storage.arrays import write_blocks

if TYPE_CHECKING:
    from benchmark.config.config import Config
    from benchmark.storage.paths import Run


def stage(config: Config, dataset: str, run: Run) -> Record:
    """Make all controls of a data set, one below the other in one array, and write the record."""
    name = config.controls_of(dataset)
    draft = Draft("controls", name, config.controls_spec(dataset))
    train = load_data(run.data(dataset), verify=True).train
    count = config.control_count(dataset)
    made = [
        CONTROLS.make(kind).make(
            train, count, np.random.default_rng(stream_seed(config.seed, kind))
        )
        for kind in config.evaluation.controls
    ]
    shape = (len(made) * count, *train.shape[1:])
    write_blocks(run.samples(name), made, shape, np.uint8)
    return draft.write(
        run,
        values={"images": Value(value=len(made) * count)},
        made=MadeControls(dataset=dataset, controls=config.evaluation.controls),
    )
