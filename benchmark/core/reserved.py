"""Names that a config must not use, because every run has tables and columns of these names."""

# Names of tables.
TABLES = ("best-by-budget", "classes", "findings", "neighbours", "stages", "verdicts")
# Names of columns: no metric may have one of them.
COLUMNS = frozenset(
    [
        "alike",
        "batch",
        "budget",
        "cell",
        "compared",
        "dataset",
        "device",
        "family",
        "floor",
        "guidance",
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
