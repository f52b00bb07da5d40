"""The demo arena: texts, summarizers, a simulated panel and program judges, all of it really computed."""

from datetime import timedelta
from itertools import combinations

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from arena.demo.summarizers import SUMMARIZERS
from arena.demo.texts import CATEGORIES, LICENCE, texts
from arena.matchmaking import plan_pairs
from arena.models import Arena, Battle, Category, Output, Pair, Prompt, System, WhoVotes
from arena.submissions.policy import SubmissionPolicy
from judges.demo.panel import PANEL_NAME, PERIOD, simulate_votes
from judges.derivations import derive
from judges.juries.making import make_jury
from judges.models import Judge, Outcome, Verdict, Voter
from judges.placing import change_policy
from judges.programs import PROGRAMS
from judges.runs import make_program_judge, start_run, work_on
from judges.voting import announce

SLUG = "summaries"
SEED = 20240229
DESCRIPTION = (
    "Small programs summarise short texts in two or three sentences. The panel that votes here is "
    "simulated, and the judges are programs: a demonstration in which every number is computed from "
    "real outputs."
)
GUIDELINES = """Which summary would you rather have been given?

- It says what the text is about and what came of it.
- It is short: two or three sentences, about fifty words. Length is not thoroughness.
- It can be read by somebody who hasn't seen the text.

Where both serve equally well, say so; where neither serves at all, say that both are bad.
"""
# The programs that judge in the demo, by the name that readers see.
JUDGES = {
    "rouge_l": "ROUGE-L",
    "chrf": "chrF",
    "cosine": "Cosine to reference",
    "first_sentence_overlap": "First-sentence overlap",
    "longer_is_better": "Longer is better",
}
# Three of them decide together, by majority.
JURY = "Jury of programs"
JURORS = ("rouge_l", "chrf", "first_sentence_overlap")


def load_demo() -> Arena:
    """Make the demo arena, or finish it; a second call changes nothing."""
    arena = _make_what_is_compared()
    _let_the_panel_vote(arena)
    jurors = []
    for program, name in JUDGES.items():
        judge = make_program_judge(arena=arena, program=PROGRAMS[program], name=name)
        run = start_run(judge=judge)
        if run.total:
            work_on(run)
        else:
            run.delete()
        if program in JURORS:
            jurors.append(judge)
    jury = make_jury(arena=arena, name=JURY, members=jurors)
    derive(judge=jury)
    if not arena.submission_policy:
        policy = SubmissionPolicy(who="accounts", judges=(jury.slug,), battles=300, width=150)
        change_policy(arena=arena, policy=policy, actor=None)
    return arena


@transaction.atomic
def _make_what_is_compared() -> Arena:
    arena, made = Arena.objects.get_or_create(
        slug=SLUG,
        defaults={
            "name": "Short summaries",
            "description": DESCRIPTION,
            "guidelines": GUIDELINES,
            "licence": LICENCE,
            "is_open": True,
            "who_votes": WhoVotes.ANYONE,
        },
    )
    if not made:
        return arena
    categories = {
        slug: Category.objects.create(arena=arena, slug=slug, name=name)
        for slug, name in CATEGORIES.items()
    }
    systems = [
        System.objects.create(
            arena=arena,
            name=summarizer.name,
            slug=slugify(summarizer.name),
            version=summarizer.version,
            organisation=summarizer.organisation,
            family=summarizer.family,
            licence=summarizer.licence,
            description=summarizer.description,
        )
        for summarizer in SUMMARIZERS
    ]
    pairs = [
        Pair.objects.create(arena=arena, system_a=systems[i], system_b=systems[j])
        for i, j in combinations(range(len(systems)), 2)
    ]
    for text in texts():
        prompt = Prompt.objects.create(
            arena=arena,
            messages=[{"role": "user", "content": text.prompt}],
            source_id=text.slug,
            title=text.title,
            reference=text.reference,
            language="en",
        )
        prompt.categories.add(categories[text.category])
        outputs = {
            output.system_id: output
            for output in Output.objects.bulk_create(
                Output(
                    arena=arena,
                    system=system,
                    prompt=prompt,
                    text=summarizer.summarize(text.text),
                )
                for system, summarizer in zip(systems, SUMMARIZERS, strict=True)
            )
        }
        Battle.objects.bulk_create(
            Battle(
                arena=arena,
                pair=pair,
                prompt=prompt,
                system_a_id=pair.system_a_id,
                system_b_id=pair.system_b_id,
                output_a=outputs[pair.system_a_id],
                output_b=outputs[pair.system_b_id],
            )
            for pair in pairs
        )
    plan_pairs(arena=arena)
    return arena


@transaction.atomic
def _let_the_panel_vote(arena: Arena) -> None:
    panel, made = Judge.objects.get_or_create(
        arena=arena,
        name=PANEL_NAME,
        defaults={
            "slug": slugify(PANEL_NAME),
            "kind": Judge.Kind.CROWD,
            "is_simulated": True,
            "configuration": {"seed": SEED},
            "description": "Forty voters who never were. Each has a taste, a tendency to ties and a "
            "steadiness; what they compare are real outputs with real references.",
        },
    )
    if not made:
        return
    outputs = Output.objects.filter(arena=arena).select_related("system", "prompt")
    votes = simulate_votes(
        outputs={(output.prompt.source_id, output.system.name): output.text for output in outputs},
        references=dict(arena.prompts.values_list("source_id", "reference")),
        seed=SEED,
    )
    voters = {
        handle: Voter.objects.create(judge=panel, handle=handle)
        for handle in sorted({vote.voter for vote in votes})
    }
    battles = {
        (battle.prompt.source_id, battle.system_a.name, battle.system_b.name): battle
        for battle in arena.battles.select_related("prompt", "system_a", "system_b")
    }
    began = timezone.now() - timedelta(seconds=PERIOD)
    verdicts = []
    for vote in votes:
        names, outcome, shown_first = (
            (vote.system_a, vote.system_b), Outcome(vote.outcome), int(vote.shown_first)
        )  # fmt: skip
        if (vote.text, *names) not in battles:
            names, outcome, shown_first = names[::-1], outcome.mirrored, 1 - shown_first
        battle = battles[vote.text, *names]
        verdicts.append(
            Verdict(
                arena=arena,
                battle=battle,
                pair_id=battle.pair_id,
                prompt_id=battle.prompt_id,
                judge=panel,
                voter=voters[vote.voter],
                outcome=outcome,
                shown_first=shown_first,
                cast_at=began + timedelta(seconds=vote.seconds),
            )
        )
    Verdict.objects.bulk_create(verdicts, batch_size=500)
    announce(arena_id=arena.pk, judge_ids=[panel.pk])
