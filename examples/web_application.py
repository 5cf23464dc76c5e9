"""A web application with a router in it: `uvicorn --app-dir examples web_application:app`, then open its address.

Programs connect to ws://127.0.0.1:8000/sig/, and so does the page of examples/browser.
"""

from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import sig.aio

router = sig.aio.ServerRouter()
oven = {"celsius": 20}


@asynccontextmanager
async def lifespan(app):
    async with router:
        sender = await router.add_sender("oven", events=["changed"], requests={"read": lambda params: oven["celsius"]})
        app.state.oven = sender
        yield


async def set_oven(request):
    oven["celsius"] = await request.json()
    request.app.state.oven.trigger("changed", oven)
    return JSONResponse(oven)


async def home(request):
    return RedirectResponse(f"/page/index.html?router=ws://{request.url.netloc}/sig/")


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", home),
        Route("/oven", set_oven, methods=["PUT"]),
        # The page is let in because it comes from here. The slash at the end belongs to the address.
        Mount("/sig", router.asgi(origins=["http://127.0.0.1:8000", "http://localhost:8000"])),
        Mount("/page", StaticFiles(directory=Path(__file__).parent / "browser")),
    ],
)
