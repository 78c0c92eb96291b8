#!/usr/bin/env python3
"""Writes chat_templates.json: conversations as `transformers` writes them (5.24, whose templates are Jinja).

Known: the templates that genzoo exports, and what they make of a conversation. Foreign: templates as others have them;
`known` names the one that genzoo takes each for, null for those that only look like one.
"""
import json
import pathlib

from transformers.utils.chat_template_utils import _compile_jinja_template

TALK = [
    {"role": "system", "content": "Be \"brief\"."},
    {"role": "user", "content": "One and one?"},
    {"role": "assistant", "content": "Two.\nReally."},
    {"role": "user", "content": "Und drei? \u00fc"},
]


def names(before, between, behind):
    return {role: (before + role + between, behind) for role in ("system", "user", "assistant")}


KNOWN = {
    "plain": {"system": ("", "\n"), "user": ("User: ", "\n"), "assistant": ("Assistant: ", "\n")},
    "chatml": names("<|im_start|>", "\n", "<|im_end|>\n"),
    "llama3": names("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
    "zephyr": names("<|", "|>\n", "</s>\n"),
    "alpaca": {"system": ("", "\n\n"), "user": ("### Instruction:\n", "\n\n"), "assistant": ("### Response:\n", "\n\n")},
}

FOREIGN = {
    "ChatML": ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + "
               "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
               "{% endif %}", "chatml"),
    "Llama 3": ("{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + "
                "'<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}{{ content }}{% endfor %}"
                "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}",
                "llama3"),
    "Phi 3": ("{% for message in messages %}{{'<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n'}}"
              "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}", None),
    "DeepSeek": ("{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + "
                 "'\\n\\n' }}{% else %}{{ 'Assistant: ' + message['content'] + '\\n\\n' }}{% endif %}{% endfor %}"
                 "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}", None),
    "Llama 2": ("{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + "
                "' [/INST]' }}{% else %}{{ ' ' + message['content'] + ' ' }}{% endif %}{% endfor %}", None),
}


def jinja_of(frames):
    text = "{% for message in messages %}"
    for i, (role, (before, behind)) in enumerate(frames.items()):
        text += "{%% %s message['role'] == '%s' %%}{{ %s + message['content'] + %s }}" % (
            "elif" if i else "if", role, json.dumps(before), json.dumps(behind))
    return text + ("{%% endif %%}{%% endfor %%}{%% if add_generation_prompt %%}{{ %s }}{%% endif %%}"
                   % json.dumps(frames["assistant"][0]))


def rendered(jinja):
    return _compile_jinja_template(jinja).render(messages=TALK, add_generation_prompt=True)


fixture = {
    "talk": TALK,
    "known": [{"name": name, "jinja": jinja_of(frames), "text": rendered(jinja_of(frames))}
              for name, frames in KNOWN.items()],
    "foreign": [{"name": name, "jinja": jinja, "text": rendered(jinja), "known": known}
                for name, (jinja, known) in FOREIGN.items()],
}
path = pathlib.Path(__file__).with_name("chat_templates.json")
path.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n")
