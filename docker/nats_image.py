"""Has the engine make an image of this machine's nats-server, and prints the image's name.

    export NATS_IMAGE=$(.venv/bin/python docker/nats_image.py)
    docker compose -f docker/compose.nats.yaml up -d

For where no image registry is reachable. `make tools` gets a nats-server where Go is.

Left out: how; `Cluster.docker(3, image="nats")` does the same.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    sys.path.insert(0, str(ROOT))
    from kvcore.lab.engine import NoEngineError, engine
    from kvcore.lab.images import ImageError, image

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    try:
        with engine() as client:
            print(image(client, "nats", tell))
    except (NoEngineError, ImageError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
