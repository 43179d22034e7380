"""What Slurm's executor needs to get through a time in which Slurm does not answer."""

import sys


def keep_jobs_without_answer(executor):
    """Make a question to Slurm that failed tell nothing of any job.

    Where the controller does not answer, as it does while it is started again, the executor (2.8) takes its jobs for
    neither running nor ended: it would never ask for them again and wait without end. Jobs that an answer does not
    name are asked for at the next look, which is right here as well.
    """
    ask = getattr(executor, "query_job_status", None)
    # Not where another version asks otherwise, nor once more for each of several included workflows.
    if ask is not None and ask.__module__.startswith(executor.__name__):

        async def ask_patiently(command, logger):
            states, seconds = await ask(command, logger)
            return ({}, 0.0) if states is None else (states, seconds)

        executor.query_job_status = ask_patiently


# Snakemake has loaded all executors by now.
if "snakemake_executor_plugin_slurm" in sys.modules:
    keep_jobs_without_answer(sys.modules["snakemake_executor_plugin_slurm"])
