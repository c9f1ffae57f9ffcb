"""A service that runs benchmarks on request, while it serves: the engine is part of its lifespan.

uvicorn examples.fastapi_service:app

curl -X POST 'http://127.0.0.1:8000/runs?dataset=generated:3_digit_addition&solver=ThreeDigitAdditionSolver&limit=100'
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException

from engine import Engine
from engine.api import Choice
from engine.errors import EngineError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One engine for the life of the service; it is closed, and its store whole, when the service ends."""
    async with Engine() as engine:
        app.state.engine = engine
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/runs")
async def run(
    dataset: str, solver: str, model: str = "simulated::calculator", limit: int | None = None
) -> dict[str, Any]:
    """Run a benchmark, and give what it came to; several requests run side by side."""
    try:
        report = await app.state.engine.run(dataset, solver, model=model, choice=Choice(limit=limit))
    except EngineError as error:
        raise HTTPException(status_code=422, detail={"message": error.message, "hint": error.hint}) from error
    return report.as_dict()
