MADE = [name for dataset in DATASETS for name in controls_of(dataset)]
RECORDS = [
    *(RUN.record("data", name) for name in DATASETS),
    *(RUN.record("train", name) for name in CONFIG.trainings),
    *(RUN.record("sample", name) for name in CELLS),
    *(RUN.record("controls", name) for name in MADE),
    *(RUN.record("features", name) for name in [*DATASETS, *CELLS, *MADE]),
    *(
        RUN.record(kind, name)
        for kind in ("metrics", "retrieval")
        for name in CONFIG.subjects
    ),
]
NAMES = [*sorted({cell.table for cell in CONFIG.cells}), *RESERVED]
TABLES = [path for name in NAMES for path in RUN.tables(name)]
LEFT_OUT = {
    *([] if CONFIG.trainings else ["loss-curves"]),
    *([] if SAMPLED else ["time-by-model", "distance-against-time"]),
}
DRAWN = [name for name in PLOT_NAMES if name not in LEFT_OUT]
PLOTS = [RUN.plot(name) for name in DRAWN]
VECTORS = [path.with_suffix(s) for path in PLOTS for s in (".svg", ".pdf")]
PANELS = [RUN.neighbours(name) for name in CONFIG.subjects]


# What the report published and claims. Paths from here, as Snakemake wants them.
PUBLISHED = [os.path.relpath(path) for path in (REFERENCE, CLAIMS)]


rule tables:
    input:
        records=RECORDS,
        published=PUBLISHED,
        code=code(
            "tables.py",
            "comparison.py",
            "rows.py",
            "formats.py",
            "verdict*.py",
            "metrics/uncertainty.py",
        ),
    output:
        [
            report(
                path,
                category="Tables",
                labels={"table": path.stem, "format": path.suffix.lstrip(".")},
                caption="../report/table.rst",
            )
            for path in TABLES
        ],
    log:
        RUN.log("tables", "all"),
    conda:
        ENVIRONMENT
    params:
        run=RUN.root,
    shell:
        command("tables {params.run}")


rule plots:
    input:
        records=RECORDS,
        grids=[RUN.grid(name) for name in CELLS],
        code=code("plots.py", "rows.py", "style.py", "timeline.py"),
    output:
        [
            report(
                path,
                category="Plots",
                labels={"plot": path.stem.replace("-", " ")},
                caption="../report/plot.rst",
            )
            for path in PLOTS
        ],
        VECTORS,
    log:
        RUN.log("plots", "all"),
    conda:
        ENVIRONMENT
    params:
        run=RUN.root,
    shell:
        command("plots {params.run}")


# A run that is worse is a finding, not a failure: the status says so only on the command line.
rule comparison:
    input:
        records=RECORDS,
        other=lambda w: other_run(),
        code=code(
            "compare.py",
            "compare_formats.py",
            "rows.py",
            "formats.py",
            "metrics/uncertainty.py",
            "templates/compare.html.jinja",
        ),
    output:
        report(
            RUN.comparison("{suffix}"),
            category="Comparison",
            caption="../report/comparison.rst",
        ),
    log:
        RUN.log("compare", "{suffix}"),
    conda:
        ENVIRONMENT
    params:
        runs=shlex.join([CONFIG.against or "", str(RUN.root)]),
    shell:
        command(
            "compare {params.runs} --exit-zero --format {wildcards.suffix} > {output}"
        )


rule compare:
    input:
        expand(RUN.comparison("{suffix}"), suffix=["md", "html", "json"]),


rule site:
    input:
        records=RECORDS,
        pictures=[
            *(RUN.grid(name) for name in CELLS),
            *(RUN.movie(name) for name in SAMPLED),
            *PANELS,
        ],
        published=PUBLISHED,
        code=code(
            "site.py",
            "charts.py",
            "templates/site.*",
            "tables.py",
            "comparison.py",
            "rows.py",
            "formats.py",
            "verdict*.py",
            "style.py",
            "pictures.py",
            "metrics/uncertainty.py",
        ),
    output:
        report(RUN.site, category="Page", caption="../report/site.rst"),
    log:
        RUN.log("site", "all"),
    conda:
        ENVIRONMENT
    params:
        run=RUN.root,
    shell:
        command("site {params.run}")
