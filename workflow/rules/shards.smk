# Large cells are sampled, and embedded, by several jobs. Each makes a shard, and a further job merges
# the shards into what one job would have made. Rules that use the result do not know of shards.


rule sample_shard:
    input:
        weights=lambda w: weights_of(CONFIG.cell(w.cell)),
        labels=lambda w: labels_for(CONFIG.cell(w.cell)),
        questions=lambda w: questions_of(CONFIG.cell(w.cell)),
    output:
        temp(directory(RUN.shard("sample", "{cell}", "{part}").root)),
    log:
        RUN.log("sample", "{cell}-{part}"),
    priority: FIRST
    conda:
        ENVIRONMENT
    threads: all_cores
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("sample", w.cell),
    shell:
        command(
            "sample $BENCHMARK_CONFIG {wildcards.cell} --threads {threads}"
            " --shard {wildcards.part}"
        )


rule merge_samples:
    input:
        shards=lambda w: shards_of("sample", w.cell),
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
        RUN.log("merge", "sample-{cell}"),
    wildcard_constraints:
        cell=one_of(SHARDED["sample"]),
    priority: MERGED
    conda:
        ENVIRONMENT
    params:
        # Snakemake does not compare functions of `input`; the size does not change the result.
        job=lambda w: job("merge_samples", w.cell),
        size=lambda w, input: SIZES["sample"][w.cell],
    shell:
        command("merge $BENCHMARK_CONFIG {wildcards.cell} --size {params.size}")


rule features_shard:
    input:
        images=RUN.samples("{cell}"),
        record=RUN.record("sample", "{cell}"),
    output:
        temp(directory(RUN.shard("features", "{cell}", "{part}").root)),
    log:
        RUN.log("features", "{cell}-{part}"),
    conda:
        ENVIRONMENT
    threads: share_of_cores(len(CELLS))
    resources:
        gpu=wants_gpu,
    params:
        job=lambda w: job("features", w.cell),
    shell:
        command(
            "features $BENCHMARK_CONFIG {wildcards.cell} --threads {threads}"
            " --shard {wildcards.part}"
        )


rule merge_features:
    input:
        shards=lambda w: shards_of("features", w.cell),
    output:
        features=RUN.features(EXTRACTOR, "{cell}"),
        record=RUN.record("features", "{cell}"),
    log:
        RUN.log("merge", "features-{cell}"),
    wildcard_constraints:
        cell=one_of(SHARDED["features"]),
    priority: MERGED
    conda:
        ENVIRONMENT
    params:
        job=lambda w: job("merge_features", w.cell),
        size=lambda w, input: SIZES["features"][w.cell],
    shell:
        command(
            "merge $BENCHMARK_CONFIG {wildcards.cell} --kind features"
            " --size {params.size}"
        )
