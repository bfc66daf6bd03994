"""The addresses of the API."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic_core import to_json

from . import schemas
from .bodies import read_asked, read_json
from .documentation import answers, asks_for_images, asks_for_json, problems
from .problems import Problem
from .requests import ImageAnswer, Outcome
from .schemas import DEFAULT_TOP_K, EmbedRequest, FeedbackRequest, PredictRequest, RequestId
from .service import Service

_DIGITS = 6  # of a probability
_FOR_IMAGES = (404, 405, 408, 413, 415, 422)


class Api:
    """The API over a service, as methods that FastAPI's router calls."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._limits = service.settings.limits
        self._keyed = service.settings.keys_file is not None

    def router(self) -> APIRouter:
        """All addresses with their descriptions."""
        router = APIRouter()
        router.add_api_route(
            "/v1/predict",
            self.predict,
            methods=["POST"],
            tags=["predictions"],
            summary="Judge images",
            operation_id="predict",
            responses={**answers(schemas.PredictAnswer), **problems(*_FOR_IMAGES)},
            openapi_extra=asks_for_images(self._limits),
        )
        router.add_api_route(
            "/v1/embed",
            self.embed,
            methods=["POST"],
            tags=["predictions"],
            summary="Embed images",
            operation_id="embed",
            responses={**answers(schemas.EmbedAnswer), **problems(*_FOR_IMAGES)},
            openapi_extra=asks_for_images(self._limits, EmbedRequest),
        )
        router.add_api_route(
            "/v1/feedback",
            self.feedback,
            methods=["POST"],
            tags=["log"],
            summary="Tell the true class",
            operation_id="feedback",
            responses={**answers(schemas.FeedbackAnswer), **problems(*_FOR_IMAGES)},
            openapi_extra=asks_for_json(FeedbackRequest),
        )
        router.add_api_route(
            "/v1/predictions/{request_id}",
            self.forget,
            methods=["DELETE"],
            tags=["log"],
            summary="Delete a request from the log",
            operation_id="forget",
            responses={**answers(schemas.ForgetAnswer), **problems(404, 405, 422)},
        )
        router.add_api_route(
            "/v1/models",
            self.models,
            methods=["GET"],
            tags=["service"],
            summary="List the models",
            operation_id="models",
            responses={**answers(schemas.ModelsAnswer), **problems(405)},
        )
        router.add_api_route(
            "/healthz",
            self.healthz,
            methods=["GET"],
            tags=["service"],
            summary="Say whether the process lives",
            operation_id="healthz",
            responses={**answers(schemas.Health), **problems(405)},
        )
        router.add_api_route(
            "/readyz",
            self.readyz,
            methods=["GET"],
            tags=["service"],
            summary="Say whether requests should come",
            operation_id="readyz",
            responses={**answers(schemas.Health), **problems(405)},
        )
        router.add_api_route(
            "/metrics",
            self.metrics,
            methods=["GET"],
            tags=["service"],
            summary="Count and time for Prometheus",
            operation_id="metrics",
            response_class=PlainTextResponse,
            responses={200: {"description": "Prometheus's text format."}, **problems(405)},
        )
        return router

    async def predict(self, request: Request) -> Response:
        """The likeliest classes of each image with calibrated probabilities, or "unknown".

        Of several images, those that can be read are answered, and the others have a `problem`;
        where none can be read, that is the answer.
        """
        outcome = await self._outcome(request, PredictRequest)
        predictions = [
            {
                "index": index,
                "classes": [
                    {"class": name, "probability": round(share, _DIGITS)}
                    for name, share in answer.ranked
                ],
                "unknown": answer.unknown,
                "inverted": answer.inverted,
            }
            if isinstance(answer, ImageAnswer)
            else {"index": index, "problem": answer.content()}
            for index, answer in enumerate(outcome.images)
        ]
        return _json(outcome, predictions=predictions, logged=outcome.logged)

    async def embed(self, request: Request) -> Response:
        """What enters the model's last layer, for search and comparison. Nothing is logged."""
        outcome = await self._outcome(request, EmbedRequest)
        embeddings = [
            {"index": index, "problem": answer.content()}
            if isinstance(answer, Problem)
            else {"index": index, "embedding": _exact(answer)}
            for index, answer in enumerate(outcome.images)
        ]
        return _json(outcome, embeddings=embeddings)

    async def feedback(self, request: Request) -> schemas.FeedbackAnswer:
        """The true class of an image that was answered before, for the model's live accuracy."""
        told = await read_json(request, FeedbackRequest, self._limits)
        await self.service.feedback(told.request_id, told.image_index, told.label)
        return schemas.FeedbackAnswer(
            request_id=told.request_id, image_index=told.image_index, noted=True
        )

    async def forget(self, request_id: Annotated[RequestId, Path()]) -> schemas.ForgetAnswer:
        """Everything that the log keeps of a request, for whoever's picture it was."""
        deleted = await self.service.forget(request_id)
        return schemas.ForgetAnswer(request_id=request_id, deleted=deleted)

    async def models(self) -> schemas.ModelsAnswer:
        """The models by name, with the versions that answer now."""
        registry = self.service.models
        return schemas.ModelsAnswer(
            models=[
                schemas.ModelInfo(
                    name=served.name,
                    default=served.name == registry.default,
                    version=served.version,
                    loaded=served.loaded.isoformat(timespec="seconds"),
                    classes=list(served.model.classes),
                    image_shape=list(served.model.image_shape),
                    threshold=served.model.threshold,
                    calibrated=served.model.card.calibrated,
                    precision=served.model.card.precision,
                    recipe=served.model.card.recipe,
                    embedding_size=served.model.card.embedding_size,
                    refused_file=served.name in registry.errors,
                )
                for served in registry.served
            ]
        )

    async def healthz(self) -> schemas.Health:
        """Answers while the process lives: restart it where this fails."""
        return schemas.Health(status="alive")

    async def readyz(self) -> schemas.Health:
        """Answers while models are loaded and work goes on: send requests elsewhere if not."""
        if (reason := self.service.unready) is not None:
            raise Problem("not-ready", reason, headers={"Retry-After": "1"})
        return schemas.Health(status="ready")

    async def metrics(self) -> Response:
        """Latencies by stage, queue, batches, errors, classes and confidence."""
        content, kind = self.service.scrape()
        return Response(content, headers={"content-type": kind})

    async def _outcome(self, request: Request, shape: type[EmbedRequest]) -> Outcome:
        service = self.service
        service.refuse_if_full()  # before the body is read
        state = request.scope.get("state", {})
        start = time.monotonic()
        wanted = await read_asked(request, self._limits, shape)
        service.metrics.stage("read", time.monotonic() - start)
        embed = shape is EmbedRequest
        outcome = await service.predict(
            wanted.images,
            model=wanted.model,
            client=state.get("client", "") if self._keyed else "",  # no addresses in the log
            request_id=state.get("request_id"),
            top_k=wanted.top_k or DEFAULT_TOP_K,
            embed=embed,
            log=not embed,
        )
        first = outcome.images[0]
        if isinstance(first, Problem) and all(isinstance(each, Problem) for each in outcome.images):
            raise first
        return outcome


def _json(outcome: Outcome, **more: Any) -> Response:
    content = {
        "request_id": outcome.request_id,
        "model": {"name": outcome.model, "version": outcome.version},
        **more,
    }
    return Response(to_json(content), media_type="application/json")


def _exact(answer: ImageAnswer) -> list[float]:
    """Numbers of float32 with as few digits as tell them exactly."""
    return [] if answer.embedding is None else [float(str(value)) for value in answer.embedding]
