"""Methods as the contract suite asks them: settings fit for tests, and which laws are not true of whom."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from laws import Case

from nai.methods import METHODS, Method

FADES = "older importances fade, by its formula"
WITHIN = "what a task learns is held within the task as well"
ACTS = "strength is not all that it adds to finetuning"


class Asked(NamedTuple):
    """Settings to ask a method with; a method of METHODS without any is asked with its defaults."""

    method: str
    variant: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})
    untrue: Mapping[str, str] = MappingProxyType({})
    keeps: bool = False

    def case(self, kind: type[Method]) -> Case:
        """The case of these settings."""
        name = f"{self.method} {self.variant}".rstrip()
        return Case(name, kind(**self.settings), self.untrue, self.keeps)


PROXIMAL = {"penalty": "group_l2", "sparsity": 2.0, "accumulation": "decayed", "eta": 0.3}
ASKED = (
    Asked(
        "joint",
        untrue={"names_of_tasks_decide_nothing": "the data of its tasks stand in the order of their numbers"},
    ),
    Asked("nai", settings={"strength": 0.3}),
    Asked(
        "nai",
        "both ends, random",
        {
            "normalization": "layer_softmax",
            "group": "incoming_outgoing_max",
            "importance_source": "random",
            "anchor": "weighted_mean",
        },
    ),
    Asked("nai", "conductance", {"importance_source": "conductance", "attribution_steps": 3}),
    Asked(
        "nai",
        "deeplift",
        {"importance_source": "deeplift", "attribution_baseline": "mean", "attribution_samples": 40},
    ),
    Asked(
        "nai",
        "reveal",
        {"importance_source": "deeplift_reveal", "attribution_target": "contrast"},
        {"a_convolutional_net_learns_alone": "its rule is for chains of linear layers"},
    ),
    Asked(
        "nai",
        "proximal",
        {**PROXIMAL, "strength": 20.0, "reset": "unimportant+zero_outgoing"},
        {
            "strength_0_is_finetuning": ACTS,
            "importances_only_grow": FADES,
            "outputs_not_met_stay_as_they_were": "all outputs lose the weights of emptied neurons",
        },
    ),
    Asked(
        "nai",
        "drawn anew",
        {"strength": 1.0, "normalization": "layer_std_all", "reset": "all", "accumulation": "average"},
        {
            "strength_0_is_finetuning": ACTS,
            "importances_only_grow": FADES,
            "a_huge_strength_holds_what_is_important": "new weights are far from where they are drawn to",
        },
    ),
    Asked("ewc"),
    Asked("ewc", "true", {"labels": "true"}),
    Asked("ewc", "sample", {"labels": "sample"}),
    Asked("online_ewc"),
    Asked("online_ewc", "fading", {"gamma": 0.5, "labels": "true"}, {"importances_only_grow": FADES}),
    Asked("ewcpp", untrue={"importances_only_grow": FADES}),
    Asked(
        "ewcpp",
        "online",
        {"every": 2},
        {
            "importances_only_grow": FADES,
            "a_huge_strength_holds_what_is_important": WITHIN,
        },
    ),
    Asked("online_si"),
    Asked("online_si", "online", {"every": 3}, {"a_huge_strength_holds_what_is_important": WITHIN}),
    Asked("online_mas"),
    Asked("online_mas", "online", {"every": 3}, {"a_huge_strength_holds_what_is_important": WITHIN}),
    Asked("online_nai"),
    Asked("online_nai", "online", {"every": 3}),
    Asked("rwalk", untrue={"importances_only_grow": FADES}),
    Asked("lwf"),
    Asked(
        "lwf", "shares", {"weighting": "shares"}, {"strength_0_is_finetuning": "shares weigh, not strength"}
    ),
    Asked("er", "", {"size": 20}),
    Asked("er", "online", {"size": 20, "selection": "class_balanced", "fill": "step"}),
    Asked("er", "shares", {"size": 20, "weighting": "shares"}),
    Asked("agem", "", {"size": 20}),
    Asked("der", "", {"size": 20}),
    Asked("der", "online", {"size": 20, "fill": "step"}),
    Asked("derpp", "", {"size": 20}),
    Asked("mir", "", {"size": 20, "replay": 5, "subsample": 12}),
    Asked("gss", "", {"size": 20}),
    Asked("gdumb", "", {"size": 20}),
    Asked("latent_replay", "", {"size": 20}),
    Asked(
        "latent_replay",
        "lower, slow",
        {"size": 20, "above": 1, "slow": 0.3},
        {"a_convolutional_net_learns_alone": "a lower layer of it cannot be replayed"},
    ),
    Asked(
        "co2l",
        "",
        {"size": 20, "views": "noise", "projection": 8, "linear_epochs": 1, "linear_batch": 32},
        {"strength_0_is_finetuning": "it still contrasts"},
    ),
    Asked(
        "co2l",
        "plain, symmetric",
        {
            "size": 20,
            "replay": 5,
            "selection": "reservoir",
            "views": "noise",
            "anchors": "all",
            "reduction": "anchors",
            "lengths": "free",
            "projection": 8,
            "hidden": 16,
            "linear_epochs": 1,
            "linear_batch": 32,
            "linear_rate": 0.1,
            "linear_inputs": "plain",
            "linear_balance": "task",
        },
        {"strength_0_is_finetuning": "it still contrasts"},
    ),
    Asked("er_probe", "", {"size": 20, "views": "noise", "linear_epochs": 1, "linear_batch": 32}),
    Asked(
        "ags_cl", "", {"sparsity": 1.0}, {"strength_0_is_finetuning": ACTS, "importances_only_grow": FADES}
    ),
    Asked("ar1_star", untrue={"strength_0_is_finetuning": ACTS}),
    # gates that open a share of the neurons within a few steps
    Asked("hat", "", {"strength": 0.01, "smax": 50.0, "gain": 3.0}, {"strength_0_is_finetuning": ACTS}, True),
    Asked("packnet", keeps=True),
    Asked(
        "progressive",
        untrue={
            "a_convolutional_net_learns_alone": "its columns are of linear layers",
        },
        keeps=True,
    ),
)


def cases(name: str, kind: type[Method]) -> list[Case]:
    """All cases of a method."""
    own = [one for one in ASKED if one.method == name]
    return [one.case(kind) for one in own or [Asked(name)]]


CASES = [case for name, kind in METHODS.items() for case in cases(name, kind)]
