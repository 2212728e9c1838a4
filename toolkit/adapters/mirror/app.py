"""A read-only Hub: the part of the Hub's HTTP API with which clients list and fetch models.

Errors have the Hub's `X-Error-Code`, which client libraries turn into their exceptions. No answer mentions Xet, because
clients would then insist on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toolkit.adapters.mirror.file import FileRange, requested_range
from toolkit.adapters.mirror.listing import FilterError, listing
from toolkit.adapters.mirror.page import git_refusal, page, page_of
from toolkit.adapters.mirror.source import (
    MirrorSource,
    commits,
    entry,
    etag,
    find_revision,
    model_card,
    refs,
    shown,
    tree,
)
from toolkit.adapters.store.manifest import StoredSnapshot
from toolkit.domain.outside import parse_mapping

MAX_BODY = 2**20
READ = ["GET", "HEAD"]


def mirror_app(source: MirrorSource) -> ASGIApp:
    """Return the ASGI application that serves the snapshots of `source`."""
    answers = Endpoints(source)
    routes = []
    # Some old repositories have no owner.
    for repo in ("{owner}/{name}", "{name}"):
        api = f"/api/models/{repo}"
        routes += [
            Route(f"{api}/tree/{{revision}}", answers.tree, methods=READ),
            Route(f"{api}/tree/{{revision}}/{{path:path}}", answers.tree, methods=READ),
            Route(f"{api}/paths-info/{{revision}}", answers.paths_info, methods=["POST"]),
            Route(f"{api}/revision/{{revision}}", answers.model, methods=READ),
            Route(f"{api}/commits/{{revision}}", answers.commits, methods=READ),
            Route(f"{api}/refs", answers.refs, methods=READ),
            Route(f"/{repo}/resolve/{{revision}}/{{path:path}}", answers.resolve, methods=READ),
            Route(api, answers.model, methods=READ),
            Route(f"/{repo}/info/refs", answers.clone, methods=READ),
            Route(f"/{repo}", answers.page_of, methods=READ),
        ]
    routes += [
        Route("/", answers.page, methods=READ),
        Route("/api/models", answers.models, methods=READ),
    ]
    # Specific routes first: NAME/refs also matches OWNER/NAME, and /api/models a repository's page.
    routes.sort(key=lambda route: route.path.endswith("{name}"))
    app = Starlette(
        routes=routes,
        exception_handlers={
            _Refused: _refused,
            404: lambda _request, _error: _no_repo(),
            405: lambda _request, _error: _read_only(),
        },
    )
    return _ReadOnly(app)


class _Refused(Exception):
    """Ends a request with the error `response`."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class Endpoints:
    """The endpoints, a method for each."""

    def __init__(self, source: MirrorSource) -> None:
        self._source = source

    async def tree(self, request: Request) -> Response:
        """List a directory of a revision."""
        served = await self._served(request)
        under = request.path_params.get("path", "").strip("/")
        if not served.snapshot.is_directory(under):
            raise _no_entry(served)
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        return JSONResponse(tree(served, under, recursive=recursive))

    async def paths_info(self, request: Request) -> Response:
        """Describe the named files."""
        served = await self._served(request)
        paths = await _named_paths(request)
        if paths is None:
            return _error(400, "BadRequest", "paths are missing")
        files = {file.path: file for file in served.snapshot.files}
        return JSONResponse([entry(files[path]) for path in paths if path in files])

    async def model(self, request: Request) -> Response:
        """Describe a repository at a revision, by default its newest."""
        served = await self._served(request)
        blobs = request.query_params.get("blobs", "").lower() in ("true", "1")
        return JSONResponse(model_card(_repo(request), served, blobs=blobs))

    async def commits(self, request: Request) -> Response:
        """List the revisions up to one."""
        served = await self._served(request)
        revisions = await self._revisions(request)
        return JSONResponse(commits(revisions, served.revision))

    async def refs(self, request: Request) -> Response:
        """List the branch and the tags."""
        revisions = await self._revisions(request)
        return JSONResponse(refs(revisions)) if revisions else _no_repo()

    async def models(self, request: Request) -> Response:
        """List the repositories."""
        try:
            newest = [shown(each) for each in await self._all()]
            return JSONResponse(listing(newest, request.query_params))
        except FilterError as error:
            return _error(400, "BadRequest", str(error))

    async def page(self, request: Request) -> Response:
        """Show a person what is here."""
        return page(str(request.base_url).rstrip("/"), await self._all())

    async def page_of(self, request: Request) -> Response:
        """Show a person a repository, at its address on the Hub."""
        revisions = await self._revisions(request)
        if not revisions:
            return _no_repo()
        return page_of(str(request.base_url).rstrip("/"), _repo(request), revisions)

    async def clone(self, request: Request) -> Response:
        """Refuse `git clone` in words that git shows."""
        repo = _repo(request).removesuffix(".git")
        revisions = await run_in_threadpool(self._source.revisions, repo)
        return git_refusal(str(request.base_url).rstrip("/"), repo, tuple(revisions))

    async def resolve(self, request: Request) -> Response:
        """Send a file, a range of it, or its headers alone."""
        served = await self._served(request)
        file = served.snapshot.file(request.path_params["path"])
        if file is None:
            raise _no_entry(served)
        tag = f'"{etag(file)}"'
        headers = {
            "ETag": tag,
            "Accept-Ranges": "bytes",
            "X-Repo-Commit": served.revision,
            "Cache-Control": "no-transform",
        }
        if not file.git_sha1:
            headers |= {"X-Linked-Etag": tag, "X-Linked-Size": str(file.size)}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        wanted = requested_range(request.headers, file.size, tag)
        if wanted is None:
            return Response(
                status_code=416, headers={**headers, "Content-Range": f"bytes */{file.size}"}
            )
        return FileRange(served.path / file.path, wanted, file.size, headers)

    async def _all(self) -> list[tuple[StoredSnapshot, ...]]:
        """Return the snapshots of each repository."""

        def read() -> list[tuple[StoredSnapshot, ...]]:
            found = (tuple(self._source.revisions(repo)) for repo in self._source.repositories())
            return [each for each in found if each]

        return await run_in_threadpool(read)

    async def _revisions(self, request: Request) -> Sequence[StoredSnapshot]:
        return await run_in_threadpool(self._source.revisions, _repo(request))

    async def _served(self, request: Request) -> StoredSnapshot:
        """Return the snapshot that the URL names."""
        revisions = await self._revisions(request)
        if not revisions:
            raise _Refused(_no_repo())
        served = find_revision(revisions, request.path_params.get("revision", "main"))
        if served is None:
            raise _Refused(_error(404, "RevisionNotFound", "Invalid rev id"))
        return served


class _ReadOnly:
    """Refuses every writing method on every URL."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._app
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            reading = scope["method"] == "POST" and "/paths-info/" in scope["path"]
            app = app if reading else _read_only()
        await app(scope, receive, send)


def _repo(request: Request) -> str:
    owner = request.path_params.get("owner")
    name: str = request.path_params["name"]
    return f"{owner}/{name}" if owner else name


async def _named_paths(request: Request) -> list[str] | None:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            return None
    try:
        if "json" in request.headers.get("content-type", ""):
            paths = parse_mapping(bytes(body), MAX_BODY)["paths"]
        else:
            paths = parse_qs(body.decode(), keep_blank_values=True)["paths"]
    except (ValueError, KeyError):
        return None
    if isinstance(paths, str):
        paths = [paths]
    valid = isinstance(paths, list) and all(isinstance(path, str) for path in paths)
    return paths if valid else None


def _error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse(
        {"error": message},
        status_code=status,
        headers={"X-Error-Code": code, "X-Error-Message": message, **(headers or {})},
    )


def _no_repo() -> Response:
    return _error(404, "RepoNotFound", "Repository not found")


def _no_entry(served: StoredSnapshot) -> _Refused:
    revision = served.revision
    return _Refused(_error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": revision}))


def _read_only() -> Response:
    return _error(405, "MethodNotAllowed", "this mirror is read-only", {"Allow": "GET, HEAD"})


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)
    return error.response
