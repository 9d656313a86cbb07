"""`python ray_job.py BASE_URL IN OUT`: a real local Ray cluster answers Parquet files, two actors at a time."""

from __future__ import annotations

import sys

import ray

from asyncrouter.integrations.ray import answer


def main(base_url: str, source: str, output: str) -> None:
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    tasks = {"default": {"models": ["m"]}}
    config = {"default_provider": "sim", "providers": {"sim": {"base_url": base_url}}, "tasks": tasks}
    ds = ray.data.read_parquet(source, override_num_blocks=20)
    answer(ds, config, actors=2, concurrency=8, batch_size=50, done=output).write_parquet(output)
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
