"""Peers: RAGElo's and AutoArena's judging of pairs, each in an environment of its own.

    python3.11 -m venv /tmp/ragelo && /tmp/ragelo/bin/pip install ragelo==0.7.0
    python3.11 -m venv /tmp/autoarena && /tmp/autoarena/bin/pip install autoarena==0.1.0b11 boto3

AutoArena imports boto3 without asking for it, and brings torch: 6 GB.

Run by `benchmarks.judging --peer-python` with the Python of either. The last line is JSON: what was done and
how long it took, or why it could not be done.
"""

import json
import os
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

TEXT = "Which of the two answers is better? " * 40


def judge_with_ragelo(url: str, calls: int, concurrency: int, folder: Path) -> dict[str, object]:
    """Every pair in both orders, one after the other, as many pairs side by side as are told; kept in a file.

    Of its providers the one for Ollama speaks of chat completions.
    """
    import ragelo

    pairs = calls // 2
    experiment = ragelo.Experiment(
        "benchmark", save_path=str(folder / "kept.json"), rich_print=False
    )
    for number in range(pairs):
        name = f"q{number}"
        experiment.add_query(f"{TEXT} {number}", query_id=name, should_save=False)
        for agent in ("ada", "basil"):
            answer = f"{agent} {number}: {TEXT}"
            experiment.add_agent_answer(answer, agent=agent, query_id=name, should_save=False)
    provider = ragelo.get_llm_provider("ollama", model="judge", api_base=url, json_mode=True)
    evaluator = ragelo.get_answer_evaluator(
        "pairwise", llm_provider=provider, n_processes=concurrency, use_progress_bar=False
    )
    begin = time.perf_counter()
    evaluator.evaluate_experiment(experiment)
    seconds = time.perf_counter() - begin
    games = [game for query in experiment for game in query.pairwise_games.values()]
    judged = sum(bool(game.evaluations) for game in games)
    if judged != pairs:
        return {"problem": f"RAGElo judged {judged} of {pairs} pairs."}
    return {"calls": 2 * pairs, "seconds": seconds, "note": f"{pairs:,} pairs in two orders"}


def judge_with_autoarena(url: str, calls: int, concurrency: int, folder: Path) -> dict[str, object]:
    """Every pair once, in threads: as many as are told (its own server starts 8); kept in SQLite.

    Its judges for OpenAI start at most 950 calls a minute, so no more than that are measured. Without the
    wrapper that would fetch a model from elsewhere to classify replies that can't be read.
    """
    os.environ |= {"OPENAI_BASE_URL": url.replace("/v1", "/short/v1"), "OPENAI_API_KEY": "none"}
    import pandas as pd
    from autoarena.api import api
    from autoarena.judge.executor import ThreadedExecutor
    from autoarena.judge.wrapper import ab_shuffling_wrapper, cleaning_wrapper, retrying_wrapper
    from autoarena.service.judge import JudgeService
    from autoarena.service.model import ModelService
    from autoarena.service.project import ProjectService
    from autoarena.service.task import TaskService
    from autoarena.store.database import DataDirectoryProvider
    from autoarena.task.auto_judge import AutoJudgeTask
    from loguru import logger

    logger.remove()
    if calls > 900:
        return {
            "problem": "AutoArena starts at most 950 calls a minute: give --peer-calls 900 or less."
        }
    DataDirectoryProvider.set(folder)
    project = ProjectService.create_idempotent(api.CreateProjectRequest(name="benchmark")).slug
    for name in ("ada", "basil"):
        rows = [(f"{TEXT} {number}", f"{name} {number}: {TEXT}") for number in range(calls)]
        ModelService.upload_responses(
            project, name, pd.DataFrame(rows, columns=["prompt", "response"])
        )
    judge = api.CreateJudgeRequest(
        judge_type=api.JudgeType.OPENAI,
        name="judge",
        model_name="judge",
        system_prompt=JudgeService.get_default_system_prompt(),
        description="",
    )
    judge = JudgeService.create(project, judge)
    task = AutoJudgeTask(
        project,
        TaskService.create(project, api.TaskType.AUTO_JUDGE, "").id,
        ModelService.get_all(project),
        [judge],
        judge_wrappers=[retrying_wrapper, cleaning_wrapper, ab_shuffling_wrapper],
    )
    begin = time.perf_counter()
    with ThreadedExecutor(concurrency) as executor:
        task.run(executor)
    seconds = time.perf_counter() - begin
    votes = next(one.n_votes for one in JudgeService.get_all(project) if one.id == judge.id)
    if votes != calls:
        return {"problem": f"AutoArena judged {votes} of {calls} pairs."}
    return {"calls": calls, "seconds": seconds, "note": f"{calls:,} pairs, each once"}


PEERS = {"ragelo": ("RAGElo", judge_with_ragelo), "autoarena": ("AutoArena", judge_with_autoarena)}


def main(url: str, calls: int, concurrency: int) -> dict[str, object]:
    found = next((package for package in PEERS if find_spec(package)), None)
    if found is None:
        return {"problem": f"not installed: {sys.executable} has neither of {', '.join(PEERS)}."}
    name, judge = PEERS[found]
    with tempfile.TemporaryDirectory() as folder:
        told = judge(url, calls, concurrency, Path(folder))
    return {"name": f"{name} {version(found)}"} | told


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))) + "\n")
