"""Stages in, datatrove's executors for them out: processes here, Slurm's jobs, a Ray cluster."""

import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError

from datatrove.executor import (
    LocalPipelineExecutor,
    RayPipelineExecutor,
    SlurmPipelineExecutor,
)

from modernbert.base.errors import MachineError, reason_of
from modernbert.base.files import make_folder
from modernbert.data.clean.blocks.stages import Stage
from modernbert.data.clean.blocks.steps import is_refused
from modernbert.data.clean.folders import Folders
from modernbert.data.clean.options import Slurm

_STUB = "#!/bin/sh\necho 'Submitted batch job 0'\n"
_ATTEMPTS = 2
"""Times that tasks whose workers were lost are given to others."""
LAUNCHED = "launch_script.slurm"


def run_here(stages: Sequence[Stage], folders: Folders, workers: int) -> None:
    """Do the tasks of each stage in processes of this machine."""
    for stage in stages:
        LocalPipelineExecutor(
            [stage.line],
            tasks=stage.num_tasks,
            workers=min(workers, stage.num_tasks),
            logging_dir=str(folders.logs(stage.name)),
        ).run()


def run_on_ray(stages: Sequence[Stage], folders: Folders, workers: int) -> None:
    """Let a Ray cluster do the tasks.

    Raises:
        MachineError: Ray is missing, there is no cluster, or tasks were lost.
    """
    with _cluster(workers):
        for stage in stages:
            executor = RayPipelineExecutor(
                [stage.line],
                tasks=stage.num_tasks,
                workers=workers,
                logging_dir=str(folders.logs(stage.name)),
                mem_per_cpu_gb=0,
            )
            if lost := _lost(executor, folders.tallies(stage.name)):
                raise MachineError(
                    f"{lost} tasks of {stage.num_tasks} were lost: see "
                    f"{folders.logs(stage.name)}, and repeat the command"
                )


def _lost(executor: RayPipelineExecutor, told: Path) -> int:
    """Do all tasks, those that were lost without a word once more; return how many are left."""
    for _ in range(_ATTEMPTS):
        executor.run()
        lost = len(executor.get_incomplete_ranks())
        if not lost or is_refused(told):
            break
    return lost


@contextmanager
def _cluster(workers: int) -> Iterator[None]:
    # Looked at when Ray is imported, and by the processes that it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MachineError("--executor ray needs Ray: pip install 'modernbert[ray]'") from error
    address = os.environ.get("RAY_ADDRESS")
    there = {"address": address} if address else {"address": "local", "num_cpus": workers}
    try:
        ray.init(
            **there, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise MachineError(
            f"there is no Ray cluster at {address or 'hand'} ({reason_of(error)}): see RAY_ADDRESS"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def submit(stages: Sequence[Stage], folders: Folders, workers: int, slurm: Slurm) -> list[Path]:
    """Submit a job for each stage that is not done; each waits for the one before.

    Returns the scripts. A dry run writes the same scripts and files, and submits nothing.

    Raises:
        MachineError: there is no sbatch, or it refused.
    """
    before = None
    for stage in stages:
        make_folder(folders.logs(stage.name))
        before = SlurmPipelineExecutor(
            [stage.line],
            tasks=stage.num_tasks,
            time=slurm.time,
            partition=slurm.partition,
            cpus_per_task=slurm.cpus,
            mem_per_cpu_gb=slurm.memory_gb,
            workers=workers or -1,
            job_name=f"modernbert-clean-{stage.name}",
            qos=slurm.qos,
            env_command=slurm.environment or _environment(),
            tasks_per_job=slurm.tasks_per_job,
            logging_dir=str(folders.logs(stage.name)),
            depends=before,
        )
    assert before is not None
    try:
        if slurm.dry_run:
            with _pretended():
                before.launch_job()
        else:
            before.launch_job()
    except FileNotFoundError as error:
        raise MachineError(
            "there is no sbatch here: run the command where jobs are submitted, or write their "
            "scripts with --slurm.dry-run"
        ) from error
    except CalledProcessError as error:
        raise MachineError(f"sbatch refused a job ({reason_of(error)}): see --slurm") from error
    scripts = [folders.logs(stage.name) / LAUNCHED for stage in stages]
    return [path for path in scripts if path.is_file()]


def _environment() -> str:
    """Make a job find what runs here."""
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    command = f"export PATH={shlex.quote(os.pathsep.join(paths))}"
    if python_path := os.environ.get("PYTHONPATH"):
        command += f" PYTHONPATH={shlex.quote(python_path)}"
    return command


@contextmanager
def _pretended() -> Iterator[None]:
    """Put a program in the place of sbatch that takes a script and does nothing."""
    before = os.environ.get("PATH", "")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "sbatch")
        program.write_text(_STUB, encoding="utf-8")
        program.chmod(0o755)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before
