"""The application: API, page, guard and service as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import Route

from .binding import known_hosts
from .bodies import problem_of
from .documentation import describe
from .front import Front
from .guard import Application, Guard, Receive, Scope, Send
from .keys import KeyFile
from .problems import MEDIA_TYPE, Problem, problem_body
from .routes import Api
from .service import Service
from .settings import ServeSettings

_KINDS = {404: "not-found", 405: "method-not-allowed", 400: "malformed-request"}


def create_app(settings: ServeSettings, service: Service | None = None) -> FastAPI:
    """The application; its lifespan starts and stops the service.

    Args:
        settings: of the service.
        service: one that was made, and perhaps loaded, already.

    Raises:
        ConfigError: the keys cannot be read.
        ExtraError: a library is not installed.
        LogError: the log cannot be used.
    """
    keys = None if settings.keys_file is None else KeyFile(settings.keys_file)
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="atelier",
        lifespan=lifespan,
        # Their pages would load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
    )
    app.state.service = service
    api = Api(service)
    router = api.router()
    app.include_router(router)
    for route in router.routes:
        assert isinstance(route, APIRoute)
        # The page is mounted at the root, and would answer what no other route does.
        app.router.routes.append(Route(route.path, _OtherMethod(route.methods or ())))
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    describe(app, keys=keys is not None, open_metrics=settings.open_metrics)
    if settings.page:
        from .page import mount_page  # gradio takes seconds to import

        mount_page(app, service, settings)
    # The one that is added last stands outermost.
    app.add_middleware(Shortcut, routes={"/v1/predict": api.predict, "/v1/embed": api.embed})
    app.add_middleware(
        Guard,
        limits=settings.limits,
        keys=keys,
        metrics=service.metrics,
        hosts=known_hosts(settings.host, settings.host_names),
        open_metrics=settings.open_metrics,
        page="/" if settings.page else None,
    )
    app.add_middleware(Front, service=service)
    return app


class Shortcut:
    """Calls the few addresses that get nearly all requests without asking the router.

    FastAPI's way to a function takes as long as everything else that is done for a small image. The
    routes are there all the same, for their descriptions and for other methods than POST.

    Args:
        app: what has the other addresses.
        routes: functions by path.
    """

    def __init__(
        self, app: Application, *, routes: Mapping[str, Callable[[Request], Awaitable[Response]]]
    ) -> None:
        self._app, self._routes = app, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection of ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        function = self._routes.get(scope["path"])
        if function is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            response = await function(request)
        except Problem as problem:
            response = await _answer_problem(request, problem)
        await response(scope, receive, send)


class _OtherMethod:
    """Answers an address that was asked with a method which it does not take."""

    def __init__(self, methods: Collection[str]) -> None:
        self._allowed = {"Allow": ", ".join(sorted(methods))}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        raise Problem("method-not-allowed", headers=self._allowed)


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    request_id = request.scope.get("state", {}).get("request_id")
    return Response(
        problem_body(problem, request_id),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _answer_problem(request, problem_of(error.errors()))


async def _answer_http(request: Request, error: Exception) -> Response:
    """What the router answers: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    kind = _KINDS.get(error.status_code, "internal")
    return await _answer_problem(request, Problem(kind, headers=error.headers))
