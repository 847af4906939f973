"""Names that a config must not give, because every run has them."""

# Of tables.
TABLES = ("findings", "neighbours", "stages", "verdicts")
# Of columns of the tables: a metric may take none of them.
COLUMNS = frozenset(
    [
        "batch",
        "cell",
        "dataset",
        "device",
        "family",
        "floor",
        "images_per_second",
        "label",
        "letters",
        "model",
        "network_evaluations",
        "over_seeds",
        "report_dataset",
        "report_fid",
        "report_n_fake",
        "report_note",
        "report_resolution",
        "report_sample_minutes",
        "report_train_minutes",
        "resolution",
        "sample_busy",
        "sample_seconds",
        "sampler",
        "samples",
        "schedule",
        "seconds_per_image",
        "seconds_per_step",
        "seed",
        "steps",
        "threads",
        "time",
        "train_busy",
        "train_minutes",
        "trained_as",
        "training",
        "weights",
    ]
)
