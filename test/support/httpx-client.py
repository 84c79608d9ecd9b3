"""Python's httpx as a client of HTTP/2: many requests at once, content up and down, one connection."""
import asyncio
import sys

import httpx


async def main(url: str) -> None:
    async with httpx.AsyncClient(http2=True, http1=False, verify=False, timeout=20) as client:
        answers = await asyncio.gather(*(client.get(f"{url}/x{number % 7}") for number in range(100)))
        for number, answer in enumerate(answers):
            assert answer.status_code == 200 and answer.http_version == "HTTP/2", answer
            assert answer.text == f"content of /x{number % 7}", answer.text
        posted = await client.post(f"{url}/post", content=b"x" * 1_000_000, headers={"x-said": "httpx"})
        assert posted.text == "took 1000000 as httpx", posted.text

        async def parts():
            for _ in range(20):
                yield b"y" * 5_000

        streamed = await client.post(f"{url}/post", content=parts(), headers={"x-said": "parts"})
        assert streamed.text == "took 100000 as parts", streamed.text
        again = await client.get(f"{url}/x1", headers={"if-none-match": "*"})
        assert again.status_code in (200, 304), again
        print("all right")


asyncio.run(main(sys.argv[1]))
