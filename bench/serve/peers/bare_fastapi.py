"""A bare FastAPI handler:  python bare_fastapi.py MODEL.onnx PORT async|threads

``async``: the whole work inside an ``async def``, as most examples have it. ``threads``: a plain ``def``, which Starlette runs
in its pool of threads.
"""

import sys

import uvicorn
from fastapi import Body, FastAPI, Request
from pipeline import answers, open_session, pixels_of

path, port, way = sys.argv[1:]
session = open_session(path, 0)
app = FastAPI()


def answer(content: bytes) -> dict[str, object]:
    return {"predictions": answers(session.run(["logits"], {"pixels": pixels_of(content)[None]})[0])[0]}


if way == "async":

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, object]:
        return answer(await request.body())

else:

    @app.post("/predict")
    def predict_in_a_thread(content: bytes = Body(media_type="image/jpeg")) -> dict[str, object]:
        return answer(content)


uvicorn.run(app, port=int(port), log_level="warning")
