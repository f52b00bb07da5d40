"""What forms of LLM judges and of systems have in common: where a model is asked, at which price and limits."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings

from arena.access import may_ask_models
from judges.configurations import APIS, ConfigurationError

_ENDPOINT_NUMBERS = (
    "input_price", "output_price", "timeout", "concurrency", "requests_per_minute", "tokens_per_minute",
)  # fmt: skip
API_NAMES = {
    "chat": "Chat completions (OpenAI, vLLM, Ollama, …)",
    "anthropic": "Anthropic: /messages",
    "gemini": "Gemini: /models/…:generateContent",
    "converse": "Amazon Bedrock: /model/…/converse",
    "reward": "Reward model: /reward",
    "score": "Reward model: /score",
    "rerank": "Reranker: /rerank",
}
# Where a problem of the configuration is shown, if not at the field of its last word.
_PLACES = {"protocol.name": "protocol", "endpoint.parameters": "parameters"}


def number_field(
    initial: float, label: str, help_text: str = "", **kwargs: Any
) -> forms.FloatField:
    return forms.FloatField(
        label=label, help_text=help_text, initial=initial, required=False, min_value=0, **kwargs
    )


def whole_field(initial: int, label: str, help_text: str = "", **kwargs: Any) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, help_text=help_text, initial=initial, required=False, min_value=0, **kwargs
    )


def tick_field(label: str, help_text: str = "", *, on: bool) -> forms.BooleanField:
    return forms.BooleanField(label=label, help_text=help_text, initial=on, required=False)


class EndpointForm(forms.Form):
    """``endpoint`` gives it as checked_endpoint takes it. ``groups`` say how the fields are shown."""

    url = forms.CharField(
        max_length=500,
        label="Address of the endpoint",
        help_text="What /chat/completions is added to, such as https://api.openai.com/v1.",
        widget=forms.TextInput(attrs={"list": "endpoints", "spellcheck": "false"}),
    )
    model = forms.CharField(
        max_length=200, help_text="As the endpoint names it, such as llama-3-8b-instruct."
    )
    key_name = forms.ChoiceField(
        required=False,
        label="Key",
        help_text="The environment variable that holds the key. Keys themselves are never typed or shown here.",
    )
    api = forms.ChoiceField(
        choices=[(api, API_NAMES.get(api, api)) for api in APIS], label="Kind of endpoint"
    )
    temperature = forms.FloatField(
        required=False,
        min_value=0,
        max_value=5,
        initial=0,
        help_text="0 for the likeliest reply; empty for the endpoint’s own.",
    )
    parameters = forms.JSONField(
        required=False,
        initial=dict,
        label="Other parameters",
        help_text='A JSON object sent with every request, such as {"seed": 1}.',
        widget=forms.Textarea(attrs={"rows": 2, "class": "code", "spellcheck": "false"}),
    )
    pictures = tick_field("The model can see", "It is sent the images that texts show.", on=False)
    input_price = number_field(0, "Price of input", "USD per million tokens.")
    output_price = number_field(0, "Price of output", "USD per million tokens.")
    timeout = number_field(60, "Timeout", "Seconds, of a whole call.")
    concurrency = whole_field(8, "Calls at once")
    requests_per_minute = whole_field(0, "Requests per minute", "0 for no limit.")
    tokens_per_minute = whole_field(0, "Tokens per minute", "0 for no limit.")

    groups: dict[str, tuple[str, ...]] = {}
    folded: tuple[str, ...] = ()
    of_parameters: tuple[str, ...] = ("temperature",)  # which of them have fields of their own

    def __init__(self, *args: Any, user: Any = None, **kwargs: Any) -> None:
        """``user`` is who fills it in: what the operator listed is shown to those who may have models asked."""
        super().__init__(*args, **kwargs)
        may_ask = not may_ask_models(user)
        self.endpoints = list(settings.ENDPOINTS) if may_ask else []
        self.lists_none = may_ask and not settings.ENDPOINTS
        if len(self.endpoints) == 1:
            self.initial.setdefault("url", self.endpoints[0])
        if not may_ask:
            shown = self.fields["key_name"]
            self.fields["key_name"] = forms.CharField(
                required=False, max_length=100, label=shown.label, help_text=shown.help_text
            )
            return
        names = [("", "None: the server wants no key")]
        listed = list(
            dict.fromkeys(name for keys in settings.ENDPOINT_KEYS.values() for name in keys)
        )
        names += [(name, name) for name in listed]
        given = self.initial.get("key_name")
        if given and given not in listed:
            names.append((given, f"{given} (not listed by the operator)"))
        self.fields["key_name"].choices = names  # type: ignore[attr-defined]

    def grouped(self) -> list[dict[str, Any]]:
        """Legend, fields, and whether they are folded away: not where one of them is wrong."""
        shown = {
            title: [self[name] for name in names if name in self.fields]
            for title, names in self.groups.items()
        }
        return [
            {
                "title": title,
                "fields": fields,
                "can_fold": title in self.folded,
                "is_open": any(field.errors for field in fields),
            }
            for title, fields in shown.items()
            if fields
        ]

    def endpoint(self) -> dict[str, Any]:
        """Of a form that is valid."""
        typed = self.cleaned_data
        parameters = dict(typed["parameters"] or {})
        parameters |= {name: typed[name] for name in self.of_parameters if typed[name] is not None}
        endpoint: dict[str, Any] = {
            "url": typed["url"],
            "model": typed["model"],
            "key_name": typed["key_name"],
            "api": typed["api"],
            "parameters": parameters,
        }
        return endpoint | {
            name: typed[name] for name in _ENDPOINT_NUMBERS if typed[name] is not None
        }

    def clean_parameters(self) -> dict[str, Any]:
        given = self.cleaned_data["parameters"] or {}
        if not isinstance(given, dict):
            raise forms.ValidationError('This must be a JSON object, such as {"seed": 1}.')
        for name in self.of_parameters:
            if name in given:
                label = self.fields[name].label or name
                raise forms.ValidationError(f"The {label.lower()} has a field of its own.")
        return given

    def say(self, error: ConfigurationError) -> None:
        """What the verb refused, each at its field."""
        for place, sentence in error.problems.items():
            last = place.rpartition(".")[2]
            name = _PLACES.get(place, last)
            if place.startswith("endpoint.parameters.") and last not in self.of_parameters:
                name, sentence = "parameters", f"{last} {sentence}"
            self.add_error(name if name in self.fields else None, sentence)


def endpoint_shown(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What a form shows of the endpoint of a configuration."""
    endpoint = dict(configuration.get("endpoint", {}))
    if not endpoint:
        return {}
    parameters = dict(endpoint.pop("parameters", {}))
    return {
        "temperature": parameters.pop("temperature", None),
        "parameters": parameters,
        **endpoint,
    }
