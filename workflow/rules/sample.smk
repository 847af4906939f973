# A timed job has the machine to itself: on a CPU it takes all cores, on a GPU the one GPU.
rule sample:
    input:
        weights=lambda w: weights_of(CONFIG.cell(w.cell)),
        labels=lambda w: labels_for(CONFIG.cell(w.cell)),
        questions=lambda w: questions_of(CONFIG.cell(w.cell)),
    output:
        samples=RUN.samples("{cell}"),
        grid=report(
            RUN.grid("{cell}"),
            category="Samples",
            caption="../report/grid.rst",
            labels={"samples": "{cell}", "picture": "grid"},
        ),
        chain=report(
            RUN.chain("{cell}"),
            category="Samples",
            caption="../report/chain.rst",
            labels={"samples": "{cell}", "picture": "chain"},
        ),
        movie=RUN.movie("{cell}"),
        record=RUN.record("sample", "{cell}"),
    log:
        RUN.log("sample", "{cell}"),
    wildcard_constraints:
        cell=one_of(SAMPLED_WHOLE),
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: all_cores
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("sample", w.cell),
    shell:
        command("sample $BENCHMARK_CONFIG {wildcards.cell} --threads {threads}")


rule gather:
    output:
        samples=RUN.samples("{cell}"),
        grid=report(
            RUN.grid("{cell}"),
            category="Samples",
            caption="../report/grid.rst",
            labels={"samples": "{cell}", "picture": "grid"},
        ),
        record=RUN.record("sample", "{cell}"),
    log:
        RUN.log("gather", "{cell}"),
    wildcard_constraints:
        cell=one_of(GATHERED),
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(GATHERED))
    params:
        job=lambda w: job("gather", w.cell),
    shell:
        command("gather $BENCHMARK_CONFIG {wildcards.cell} --threads {threads}")
