"""The same in LitServe:  python lit.py MODEL.onnx PORT WORKERS THREADS BATCH"""

import base64
import sys

import litserve
import numpy as np
from pipeline import answers, open_session, pixels_of


class Api(litserve.LitAPI):
    """One picture a request, as base64 in JSON: LitServe hands requests to its workers by pickling them."""

    def __init__(self, path: str, threads: int, batch: int) -> None:
        super().__init__(max_batch_size=batch, batch_timeout=0.005)
        self.path, self.threads, self.together = path, threads, batch

    def setup(self, device: str) -> None:
        self.session = open_session(self.path, self.threads)

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        return pixels_of(base64.b64decode(request["image"]))

    def predict(self, pixels: np.ndarray) -> object:
        batch = pixels if self.together > 1 else pixels[None]
        found = answers(self.session.run(["logits"], {"pixels": batch})[0])
        return found if self.together > 1 else found[0]

    def encode_response(self, output: object) -> dict[str, object]:
        return {"predictions": output}


if __name__ == "__main__":
    path, port, workers, threads, batch = sys.argv[1:]
    server = litserve.LitServer(
        Api(path, int(threads), int(batch)), accelerator="cpu", workers_per_device=int(workers), timeout=60
    )
    server.run(host="127.0.0.1", port=int(port), generate_client_file=False, log_level="warning")
