"""The asyncio driver: sockets, files, signals and a real clock around one Node."""
