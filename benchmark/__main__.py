"""`python -m benchmark`, installed as `diffusion-benchmark`."""

from benchmark.runtime import warm


def main() -> None:
    """Let a warm process do the job, or else read the command line in this one."""
    warm.hand_over()  # before anything is imported that takes time
    from benchmark.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
