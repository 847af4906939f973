"""Make the controls of a data set: images of known quality that are judged as samples are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.core.seeds import stream_seed
from benchmark.core.values import Value
from benchmark.data import load_dataset
from benchmark.records.draft import Draft
from benchmark.records.record import Record
from benchmark.records.sections import MadeControls
from benchmark.storage.arrays import write_blocks

if TYPE_CHECKING:
    from benchmark.config.jobs.controls import ControlsJob
    from benchmark.storage.paths import Run


def stage(job: ControlsJob, run: Run) -> Record:
    """Make all controls of a data set and write the record.

    Args:
        job: which controls, and how many images of each.
        run: the run that has the data set.

    Returns:
        The record. The array of images, uint8 N×H×W×C, has the controls one after the other.
    """
    draft = Draft(job.kind, job.name, job.spec())
    train = load_dataset(run.data(job.dataset), verify=True).train
    made = [
        control.make(train, job.count, np.random.default_rng(stream_seed(job.seed, control.kind)))
        for control in job.controls
    ]
    shape = (len(made) * job.count, *train.shape[1:])
    write_blocks(run.samples(job.name), made, shape, np.uint8)
    return draft.write(
        run,
        values={"images": Value(value=len(made) * job.count)},
        made=MadeControls(dataset=job.dataset, controls=job.kinds),
    )
