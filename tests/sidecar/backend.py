"""A backend in Python: answers each message with a run of numbered steps.

What it was told is durable goes into a file, a line for each step, before the next step is written. The file survives
the process, which is killed now and then.
"""

import asyncio
import json
import os
import sys

from agentwire import Bridge

STEPS = int(os.environ["SIDECAR_STEPS"])
bridge = Bridge(os.environ["SIDECAR_URL"], key=os.environ["SIDECAR_KEY"])
told = os.open(os.environ["SIDECAR_TOLD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(run: str, step: int) -> None:
    os.write(told, (json.dumps({"run": run, "step": step}) + "\n").encode())


@bridge.on_message
async def answer(message):
    async with bridge.run(message, agent="python", lease=3.0) as run, run.message() as text:
        for step in range(STEPS):
            await text.delta(f"{step} ")
            await run.publish({"type": "step", "n": step}, durable=True)
            note(run.id, step)
            if step == STEPS // 2:
                async with run.tool("count", {"to": step}) as tool:
                    tool.result = {"counted": step}


async def main():
    print("ready", flush=True)
    await bridge.work(max=8)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
