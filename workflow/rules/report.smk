RETRIEVED = list(CONFIG.subjects) if CONFIG.evaluation.neighbours else []
RECORDS = [RUN.record(kind, name) for kind, name in expected_records(CONFIG)]
TABLES = [path for name in expected_tables(CONFIG) for path in RUN.tables(name)]
MOST_SETTINGS = 3  # of those that are named at the end of a run
DRAWN = expected_plots(CONFIG)
PLOTS = [RUN.plot(name) for name in DRAWN]
VECTORS = [path.with_suffix(s) for path in PLOTS for s in (".svg", ".pdf")]
PANELS = [RUN.neighbours(name) for name in RETRIEVED]


# The published figures and claims. They are files of the code, so their hash is a parameter.
PUBLISHED = hashed(
    REFERENCE.parent, tuple(path.name for path in (REFERENCE, CLAIMS)), RESULTS
)


rule tables:
    input:
        records=RECORDS,
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
        job=job("tables", published=PUBLISHED),
    shell:
        command(f"tables {RUN.root}")


onsuccess:
    with one_line():
        print_ending()


onerror:
    if VIEW:
        VIEW.end()


rule plots:
    input:
        records=RECORDS,
        grids=[RUN.grid(name) for name in CELLS],
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
        job=job("plots", published=PUBLISHED),
    shell:
        command(f"plots {RUN.root}")


# A run that is worse is a finding, not a failure: the status says so only on the command line.
rule comparison:
    input:
        records=RECORDS,
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
        job=lambda w: job("comparison", **other_run()),
    shell:
        command(
            f'compare "$BENCHMARK_AGAINST" {RUN.root} --exit-zero'
            " --format {wildcards.suffix} > {output}"
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
            *(RUN.answers(name) for name in ASKED),
        ],
    output:
        report(RUN.site, category="Page", caption="../report/site.rst"),
    log:
        RUN.log("site", "all"),
    conda:
        ENVIRONMENT
    params:
        job=job("site", published=PUBLISHED),
    shell:
        command(f"site {RUN.root}")
