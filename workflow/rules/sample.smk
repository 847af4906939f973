# A timed job has the machine to itself: on a CPU it takes all cores, on a GPU the one GPU.
rule sample:
    input:
        weights=lambda w: weights_of(CONFIG.cell(w.cell)),
        code=code(
            "sample.py",
            "pictures.py",
            "images.py",
            "seeds.py",
            "models/*.py",
            "diffusion/**/*.py",
        ),
    output:
        samples=RUN.samples("{cell}"),
        grid=report(
            RUN.grid("{cell}"), category="Samples", caption="../report/grid.rst"
        ),
        chain=report(
            RUN.chain("{cell}"), category="Samples", caption="../report/chain.rst"
        ),
        movie=RUN.movie("{cell}"),
        record=RUN.record("sample", "{cell}"),
    log:
        RUN.log("sample", "{cell}"),
    conda:
        ENVIRONMENT
    threads: CORES
    resources:
        gpu=GPU,
    params:
        spec=lambda w: canonical_json(CONFIG.sample_spec(w.cell)),
    shell:
        command("sample $BENCHMARK_CONFIG {wildcards.cell} --threads {threads}")
