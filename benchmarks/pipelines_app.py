"""The server of pipelines over the folder that Hayhooks is given, too."""

from pathlib import Path

from fastapi import FastAPI

from portico.pipelines.program.app import create_app
from portico.pipelines.settings import PipelinesSettings

FOLDER = Path(__file__).resolve().parent / "pipelines"


def served() -> FastAPI:
    return create_app(PipelinesSettings(pipelines_dir=str(FOLDER)))
