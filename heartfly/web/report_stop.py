"""The page behind the link in each mailed report, by which its reader ends it: asked first, done by the button.

Mail programs that end mailings by themselves (RFC 8058) send the same form, and come from no page of ours: the sealed
link is all that anybody needs here.
"""

from __future__ import annotations

from litestar import Response, get, post

from heartfly.traffic import report_stops
from heartfly.web.request import FOR_ALL, FROM_ANYWHERE, PageRequest

_PATH = "/shared/report-stop/{link:str}"


@get(_PATH, opt=FOR_ALL)
async def ask(request: PageRequest) -> Response[bytes]:
    api, link = request.api, request.path_value("link")
    stop = report_stops.meant(link, api.sealer)
    async with api.database.read() as main:
        await report_stops.demand_there(main, stop)
    return await request.page("report_stop.html", address=stop.address, link=link)


@post(_PATH, opt=FROM_ANYWHERE, status_code=200)
async def end(request: PageRequest) -> Response[bytes]:
    api, at, place = request.api, request.api.clock.now(), request.place
    stop = report_stops.meant(request.path_value("link"), api.sealer)
    await api.database.write(lambda tx: report_stops.end(tx, stop, ip=place, at=at, ids=api.ids))
    return await request.page("report_stop.html", address=stop.address, link="")
