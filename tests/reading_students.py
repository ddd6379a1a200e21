"""Students that read, for the tests of export: small, with random weights, of both kinds of decoder."""

from typing import Any

import torch
import transformers

from wean.runtime.prompt import END, PromptConfig
from wean.students.text.creation import Size, new_student, train_tokenizer
from wean.students.text.student import PAD, TextStudent
from word_demos import Replayed, demonstration

CONTEXT = 300


class Carrying(Replayed):
    """The task of carrying a lamp, made by name."""

    def __init__(self) -> None:
        super().__init__(demonstration(1)[0])


def tokenizer() -> Any:
    trajectory, annotation = demonstration(1)
    texts = [trajectory.description, *trajectory.actions, *(step.look for step in trajectory.path)]
    return train_tokenizer([*texts, *(str(chunk.subgoal) for chunk in annotation.chunks)], 350)


def reading_student(kind: str, subgoals: bool = True) -> TextStudent:
    """`scratch`: with mixed keys and a copy head; `pretrained`: shared heads, biases, a head of its own."""
    torch.manual_seed(0)
    words, prompt = tokenizer(), PromptConfig(subgoals=subgoals, context=CONTEXT)
    if kind == "scratch":
        student = new_student(words, Size(32, 2, 2), prompt, seed=0)
    else:
        config = transformers.LlamaConfig(
            vocab_size=words.get_vocab_size() + 3,
            hidden_size=48,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=2,
            max_position_embeddings=CONTEXT,
            attention_bias=kind == "biased",
            tie_word_embeddings=kind == "tied",
            bos_token_id=None,
            eos_token_id=words.token_to_id(END),
            pad_token_id=words.token_to_id(PAD),
        )
        student = TextStudent(transformers.LlamaForCausalLM(config).eval(), words, prompt)
    with torch.no_grad():
        for parameter in student.model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return student
