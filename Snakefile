# Every cell of a config becomes records; tables, plots and panels are made of the records alone.
#   snakemake --cores all --resources gpu=1                                   the quickstart
#   snakemake --cores all --resources gpu=1 --configfile config/other.yaml    another config
#   snakemake compare --cores all --config against=results/other      this run against another one
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/shards.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


# These rules take seconds, on records alone: they run here, and not as jobs of a cluster.
localrules:
    all,
    compare,
    comparison,
    tables,
    plots,
    site,


rule all:
    default_target: True
    input:
        TABLES,
        PLOTS,
        PANELS,
        [RUN.answers(name) for name in ASKED],
        RUN.site,
