"""An exported student behind HTTP: FastAPI and uvicorn on top of the runtime, without PyTorch.

    python -m wean_runtime.server exported --port 8000

Only this folder needs the packages of the extra `serve`; `import wean_runtime` does without them.
"""
