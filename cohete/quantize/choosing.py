"""Which encoder each tensor gets: by what its columns carry, and for small models tried out.

The search leaves less error, and a tensor may come out worse all the same: in a small model one
direction in which the rest points may decide. So each tensor is made in each way, and what keeps
the predictions nearest to those of the source stays. They are compared on what the source writes
by itself: of its own kind, whatever it was trained on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cohete.quantize.forward import Forward, shape_here
from cohete.quantize.gguf import GgufError
from cohete.quantize.manifest import Manifest
from cohete.quantize.measuring import FAILURES, why_not
from cohete.quantize.owntext import SEED
from cohete.quantize.perplexity import CONTEXT
from cohete.quantize.plan import Plan
from cohete.quantize.search import NAMES
from cohete.quantize.slabs import digest
from cohete.quantize.trials import LEAST_CHUNKS, MOST_CHUNKS, ROOM_BYTES, USUAL_WORK, Tell, Trials
from cohete.quantize.types import Encoder
from cohete.quantize.weighing import weighed
from cohete.text import sanitise

MOST_WORDS = 400
WEIGHED_WORDS = (
    "searched for each tensor, columns weighed by what a handful of random tokens sends through "
    "them"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The encoder of each tensor that has a choice, and mean KL divergence in nats over `tokens`
    places: with the reference for all of them, and with these."""

    encoders: Mapping[str, Encoder]
    before: float
    after: float
    tokens: int

    @property
    def words(self) -> str:
        """For a person."""
        counts = Counter(self.encoders.values())
        told = ", ".join(f"{counts[each]} {each}" for each in Encoder if counts[each])
        return (
            f"{told}; chosen on {self.tokens} tokens that the model wrote by itself: "
            f"KL divergence there {self.after:.2g}, {self.before:.2g} with the reference for all"
        )


def try_out(
    plan: Plan,
    made: Manifest | None = None,
    threads: int = 1,
    tell: Tell = lambda share: None,
    tell_weighing: Tell = lambda share: None,
) -> Plan:
    """The plan with the encoders that turn out best, and a word on how they were chosen; with those
    of before, and why, where nothing can be told.

    `made`: of the file that is there already. What it was decided by may be the same. A plan that
    has such a word already stays as it is.
    """
    if plan.choice or not any(each.has_choice for each in plan.outputs):
        return plan
    try:
        plan = weighed(plan, threads, tell_weighing)
    except FAILURES as error:
        return not_weighed(plan, error)
    try:
        shape_here(plan.model)
        decided_by = _decided_by(plan)
        noted = _noted_in(made, plan) if made and made.choice_of == decided_by else None
        if made is not None and noted is not None:
            encoders, words = noted, made.choice
        else:
            begun = time.monotonic()
            choice = choose(plan, threads, tell)
            took_s = time.monotonic() - begun
            encoders, words = choice.encoders, f"{choice.words} (took {took_s:.1f} s)"
    except FAILURES as error:
        is_weighed = any(each.encoder is Encoder.WEIGHED for each in plan.outputs)
        how = WEIGHED_WORDS if is_weighed else "searched for each tensor"
        why = f"{how}; none tried out: {why_not(error)}"
        return replace(plan, choice=sanitise(why, MOST_WORDS))
    words = sanitise(words, MOST_WORDS)
    return replace(chosen(plan, encoders), choice=words, choice_of=decided_by)


def not_weighed(plan: Plan, error: BaseException) -> Plan:
    """The plan with a word on why columns could not be weighed: one of FAILURES."""
    why = f"searched for each tensor, columns not weighed: {why_not(error)}"
    return replace(plan, choice=sanitise(why, MOST_WORDS))


def chosen(plan: Plan, encoders: Mapping[str, Encoder]) -> Plan:
    """The plan with these encoders."""
    outputs = tuple(
        replace(each, encoder=encoders.get(each.name, each.encoder)) for each in plan.outputs
    )
    return replace(plan, outputs=outputs)


def _decided_by(plan: Plan) -> str:
    """A digest of the source, of what it becomes, and of how that is tried out."""
    limits = [CONTEXT, SEED, LEAST_CHUNKS, MOST_CHUNKS, USUAL_WORK, ROOM_BYTES]
    parts = [*map(str, limits), *NAMES.values(), digest(plan.header)]
    for output in plan.outputs:
        source = output.source
        parts.append(digest(output.columns))
        try:
            with source.path.open("rb") as file:
                file.seek(source.offset)
                parts.append(digest(file.read(source.bytes)))
        except OSError as error:
            raise GgufError(f"it cannot be read: {error.strerror}",
                            where=str(source.path)) from None  # fmt: skip
    return digest(" ".join(parts).encode())


def _noted_in(made: Manifest, plan: Plan) -> Mapping[str, Encoder] | None:
    """The encoders of a file; None where its manifest does not say them all."""
    by_name = {name: encoder for encoder, name in NAMES.items()}
    noted = {each.name: by_name.get(each.encoder or made.encoder) for each in made.tensors}
    wanted = {each.name: noted.get(each.name) for each in plan.outputs if each.has_choice}
    found = {name: encoder for name, encoder in wanted.items() if encoder is not None}
    return found if len(found) == len(wanted) else None


def choose(plan: Plan, threads: int = 1, tell: Tell = lambda share: None) -> Choice:
    """Try each tensor with each encoder; `tell` hears which share of the work is done.

    The same with any number of threads. Raises GgufError for a model that cannot be worked out
    here, ValueError where it would take too long or the model's predictions are no numbers
    (NotFinite where its weights are none).
    """
    trials = Trials(Forward(plan.model.paths[0]), plan, tell)
    with trials.begun(threads):
        best = {each.name: Encoder.REFERENCE for each in trials.open}
        before = after = trials.divergence()
        searched = {each.name: each.ways[-1] for each in trials.open}
        for output in trials.open:
            trials.put(output, searched[output.name])
        if (lost := trials.divergence()) < after:
            best, after = searched, lost
        else:
            for output in trials.open:
                trials.put(output, Encoder.REFERENCE)
        for output in trials.open:
            trials.go_to(output)
            begun, kept = best[output.name], trials.held(output)
            for encoder in output.ways:
                if encoder is begun:
                    continue
                trials.put(output, encoder)
                if (lost := trials.divergence()) < after:
                    best[output.name], after, kept = encoder, lost, trials.held(output)
            trials.put_back(output, kept)
    return Choice(best, before, after, trials.places)
