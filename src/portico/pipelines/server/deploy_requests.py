"""What deploying is asked for in JSON, and what it is answered: the models of ``deploy_files`` and ``deploy-yaml``.

They read the requests, and the server's description is made of them. Imported when the first of either comes: pydantic
takes a tenth of a second. Source of the names: Hayhooks 2.1; ``settings`` and files in base64 are ours.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from portico.pipelines.deploying.names import WRAPPER_FILE


class EncodedFile(BaseModel):
    """A file that is not UTF-8."""

    encoding: Literal["base64"]
    content: str

    @field_validator("content")
    @classmethod
    def _is_base64(cls, content: str) -> str:
        base64.b64decode(content, validate=True)
        return content

    def encode(self) -> bytes:
        """Its bytes, as of a text."""
        return base64.b64decode(self.content)


class PipelineFilesRequest(BaseModel):
    """A wrapper and the files beside it."""

    name: str = Field(description="What the pipeline is to be called")
    files: dict[str, str | EncodedFile] = Field(
        description=f"The files by their paths, {WRAPPER_FILE} among them: each a text, or base64 for other bytes"
    )
    overwrite: bool = Field(default=False, description="Whether it replaces a pipeline of that name")
    save_files: bool = Field(default=True, description="Whether the files are kept, so that a restart deploys them")
    settings: dict[str, Any] = Field(default={}, description="What setup() is given, by name")

    @field_validator("files")
    @classmethod
    def _has_wrapper(cls, files: dict[str, Any]) -> dict[str, Any]:
        if WRAPPER_FILE not in files:
            raise ValueError(f"Missing required file: {WRAPPER_FILE}")
        return files


class YamlDeployRequest(BaseModel):
    """A Haystack pipeline in YAML."""

    name: str = Field(description="What the pipeline is to be called")
    source_code: str = Field(description="The YAML")
    overwrite: bool = Field(default=False, description="Whether it replaces a pipeline of that name")
    description: str | None = Field(default=None, description="What people and agents read of it")
    skip_mcp: bool | None = Field(default=None, description="Whether agents are not told of it")
    save_file: bool | None = Field(default=True, description="Whether it is kept, so that a restart deploys it")


class DeployResponse(BaseModel):
    """What was deployed."""

    name: str
    success: bool = True
    endpoint: str


class UndeployResponse(BaseModel):
    """What was undeployed."""

    success: bool
    name: str


class DeploymentSummary(BaseModel):
    """One pipeline, in short."""

    name: str
    type: str
    state: str
    description: str
    capabilities: list[str]


class StatusResponse(BaseModel):
    """What the server has."""

    status: str
    pipelines: list[str]
    deployments: list[DeploymentSummary]
    failed: list[str] = Field(description="Those of the folder that could not be made ready; the server's log says why")


class PipelineStatusResponse(BaseModel):
    """That the server has a pipeline."""

    status: str
    pipeline: str
