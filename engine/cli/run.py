"""`engine run`: run a batch, show it, stop it well, and leave with the right exit code."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import anyio
from cyclopts import Parameter

from engine.api import Engine
from engine.calls.meter import Histogram
from engine.cli.argv import resume_line
from engine.cli.bars import shown
from engine.cli.batch import Batch, read_batch
from engine.cli.flags import RunFlags
from engine.cli.logs import log_events, open_log
from engine.cli.machine import results_only, within_files
from engine.cli.show import counted, final_lines, lag_line
from engine.config import ErrorLimit
from engine.errors import one_error
from engine.records import Outcome
from engine.report import RunReport

DONE, SHORT, INTERRUPTED = 0, 1, 128
ABORT_S = 5.0


def run(
    target: str = "",
    solver: str = "",
    /,
    *,
    flags: Annotated[RunFlags | None, Parameter(name="*")] = None,
    **options: Annotated[str, Parameter(show=False)],
) -> int:
    """Run benchmarks.

    Args:
        target: a bench.toml, or a dataset: ns/name/version, a path, hf:owner/name, generated:name.
        solver: a class name, a file in solvers/, path.py:Class, or package.module:Class.
        flags: see below.
        **options: further --OPTION VALUE pairs go to the solver's constructor.
    """
    flags = flags or RunFlags()
    batch = read_batch(target, solver, flags, options)
    if flags.dry_run:
        from engine.cli.bench import show_plan

        return show_plan(batch, flags)
    bench, said = within_files(batch.bench)
    if said:
        print(said, file=sys.stderr)
        batch = replace(batch, bench=bench)
    return run_loop(_Ending(flags=flags, batch=batch).go)


def _end_soon(code: int) -> None:
    """End this process in a few seconds whatever a solver does, in a thread or on the loop; what is durable stays."""

    def leave() -> None:
        os.write(2, f"interrupted: what was done is kept\n{resume_line(sys.argv)}\n".encode())
        os._exit(code)

    timer = threading.Timer(ABORT_S, leave)
    timer.daemon = True
    timer.start()


def run_loop(main: Any) -> int:
    """Run the coroutine function on asyncio, with uvloop where it is installed."""
    # What was imported lives as long as the process, and calls make no cycles: collecting less often spares
    # 30-40 µs of 250 a task. Only here, in a process of our own: a library leaves its host's collector alone.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
    try:
        import uvloop  # noqa: F401
    except ImportError:
        options = {}
    else:
        options = {"use_uvloop": True}
    try:
        return int(anyio.run(main, backend_options=options))
    except KeyboardInterrupt as stop:
        stop.args = ("began",)  # for the line that resumes: what was forced need not be forced again
        raise


@dataclass(slots=True)
class _Ending:
    """A run of a batch, and how it ends."""

    flags: RunFlags
    batch: Batch
    stopped_by: int = 0
    reports: list[RunReport] = field(default_factory=list)
    lag: Histogram = field(default_factory=Histogram)
    done: int = 0
    tasks: int = 0

    async def go(self) -> int:
        engine = Engine(self.batch.bench, folder=self.batch.folder)
        self.lag = engine.lag
        folder, hint = engine.environment.home / "logs", engine.environment.home_hint
        log = open_log(verbose=self.flags.verbose, quiet=self.flags.quiet, folder=folder, hint=hint)
        with one_error(), results_only():
            await self._run(engine, log)
        return self._end()

    async def _run(self, engine: Engine, log: Any) -> None:
        async with engine, log_events(engine, log):
            with anyio.CancelScope() as work:
                async with anyio.create_task_group() as group:
                    group.start_soon(self._listen, engine, work)
                    async with shown(engine, quiet=self.flags.quiet or self.flags.json):
                        self.reports = await engine.run_orders(self.batch.orders, mode=self.flags.mode)
                    group.cancel_scope.cancel()
            self.done = sum(progress.done for progress in engine.progress)
            self.tasks = sum(progress.tasks for progress in engine.progress)

    async def _listen(self, engine: Engine, work: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self.stopped_by:
                    _end_soon(INTERRUPTED + number)
                    work.cancel()
                    return
                self.stopped_by = number
                print(
                    f"finishing {counted(engine.in_flight, 'request')} in flight; once more to abort", file=sys.stderr
                )
                await engine.drain()

    def _end(self) -> int:
        code = self._exit_code()
        if self.flags.json:
            runs = [report.as_dict() for report in self.reports]
            end = {"event": "end", "exit_code": code, "runs": runs, "loop_lag": self.lag.summary()}
            print(json.dumps(end), flush=True)
        else:
            named = len(self.reports) > 1
            for report in self.reports:
                print("\n".join(final_lines(report, named=named)), flush=True)
            if any(report.recorded for report in self.reports) and sys.stderr.isatty() and not self.flags.quiet:
                print("next: engine evaluation table · engine evaluation show latest", file=sys.stderr)
        if not self.flags.quiet and (spoilt := lag_line(self.lag, self.reports)):
            print(spoilt, file=sys.stderr)
        for report in self.reports:
            _tell_what_is_left(report)
        for halt in {report.halt.message: report.halt for report in self.reports if report.halt}.values():
            print(f"stopped early: {halt.message}\n  hint: {halt.hint}", file=sys.stderr)
        if self.stopped_by or any(report.halt for report in self.reports):
            print(self._resume_line(), file=sys.stderr)
        elif code == SHORT:
            print(self._why_short(), file=sys.stderr)
        return code

    def _exit_code(self) -> int:
        if self.stopped_by:
            return INTERRUPTED + self.stopped_by
        halts = [report.halt.exit_code for report in self.reports if report.halt is not None]
        if halts:
            return max(halts)
        return SHORT if any(self._too_many(r) or self._too_low(r) for r in self.reports) else DONE

    def _too_many(self, report: RunReport) -> bool:
        limit: ErrorLimit = self.batch.bench.engine.max_errors
        least = self.flags.min_complete
        incomplete = least is not None and 100 * report.counted < least * report.n
        return incomplete or limit.exceeded(report.unscored, n=report.n)

    def _too_low(self, report: RunReport) -> bool:
        least = self.flags.fail_under
        return least is not None and (report.score is None or 100 * report.score < least)

    def _why_short(self) -> str:
        lines = []
        for report in self.reports:
            name = report.name
            if self._too_many(report):
                limit = self.batch.bench.engine.max_errors
                hint = ", --retry-errors does those again" if report.outcomes.get(Outcome.ERRORED) else ""
                if self.flags.retry_errors and not report.complete:
                    hint = ", the same command without --retry-errors does the others"
                lines.append(f"{name}: {report.unscored} of {report.n} tasks have no score, more than {limit}{hint}")
            if self._too_low(report):
                lines.append(f"{name}: the score is under {self.flags.fail_under:g} %")
        return "\n".join(f"not good: {line}" for line in lines)

    def _resume_line(self) -> str:
        done, tasks, errored = self.done, self.tasks, 0
        if self.reports:
            tasks = sum(report.n for report in self.reports)
            errored = sum(report.outcomes.get(Outcome.ERRORED, 0) for report in self.reports)
            done = sum(report.counted for report in self.reports)
        state = f"{done}/{tasks} done and kept" + (f", {errored} errored" if errored else "")
        return f"{'interrupted' if self.stopped_by else 'stopped'}: {state}\n{resume_line(sys.argv)}"


def _tell_what_is_left(report: RunReport) -> None:
    """Say on stderr what the figures do not: what the table shows, what is called otherwise, what is left to do."""
    if report.behind:
        print(report.behind, file=sys.stderr)
    if report.renamed:
        print(f"warning: {report.renamed}", file=sys.stderr)
    if report.postponed and not report.halt:
        stay = f"{counted(report.postponed, 'task')} {'stays' if report.postponed == 1 else 'stay'} to be done"
        waits = f"{stay}: {report.wait_asked}; the same command does them then"
        print(f"{report.name}: {waits}", file=sys.stderr)
