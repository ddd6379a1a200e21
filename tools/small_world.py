"""What the cases of same_numbers.py need and no checkout brings: demonstrations, tiny models, and who answers.

Nothing here imports wean: both checkouts are given exactly the same files and the same answers. Functions that take
messages stand in for language models, as `scripted:small_world:NAME`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Messages = list[dict[str, str]]

_TEXT = """
[PAD] [UNK] [CLS] [SEP] the a cook holds nothing you are in row column on counter there and pick up put down go to
tomato lettuce onion bowl first second cutting board hatch chop chopped serve left right ice hole goal
"""
_WORDS = _TEXT.split()
_CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def answer(messages: Messages, sample: int = 0) -> str:
    """Answers any question of a teacher, a prior or a judge: what is listed, as a hash has it."""
    told, asked = messages[0]["content"], messages[-1]["content"]
    listed = re.findall(r"^- (.+)$", asked, re.MULTILINE) or ["explore"]
    weights = [1 + _draw(asked, name, sample) % 9 for name in listed]
    shares = [round(weight / sum(weights), 3) for weight in weights]
    if '"ratings"' in told:
        return json.dumps({"ratings": {name: weight % 3 - 1 for name, weight in zip(listed, weights, strict=True)}})
    if '"choices"' in told:
        pairs = zip(listed, shares, strict=True)
        return json.dumps({"choices": [{"choice": name, "probability": share} for name, share in pairs]})
    share = round(0.3 + _draw(asked, "plans", sample) % 5 / 10, 1)
    things = re.findall(r"a (?:\w+ )?(?:key|door|box)\b", asked)
    other = [f"go to {things[0][2:]}", f"pick up {things[0][2:]}"] if things else ["explore"]
    plans = [{"skills": ["explore"], "probability": share}, {"skills": other, "probability": round(1 - share, 1)}]
    return f"I think so.\n{json.dumps({'plans': plans})}"


def any_command(messages: Messages) -> str:
    """Gives one of the listed commands of a task in words."""
    listed = re.split(r"given now.*:\n", messages[1]["content"])[1].split("\n\n")[0].splitlines()
    return json.dumps({"command": listed[_draw(messages[1]["content"], "", len(listed)) % len(listed)]})


def halves(messages: Messages) -> str:
    """Names two sub-goals of a demonstration: everything but the last action, and that."""
    actions = len(messages[-1]["content"].split("actions:\n")[1].splitlines())
    return f"1-{actions - 1}: walk_to(coin)\n{actions}-{actions}: take(coin)"


def _draw(*words: object) -> int:
    return int(hashlib.sha256(repr(words).encode()).hexdigest()[:8], 16)


def make_files(folder: Path) -> None:
    """Writes demonstrations with sub-goals, and two tiny models where transformers is installed."""
    _write_demonstrations(folder)
    try:
        import transformers
    except ImportError:
        return
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    _save_encoder(folder / "encoder")
    _save_language_model(folder / "llama")


def _write_demonstrations(folder: Path, count: int = 6) -> None:
    """Carrying a thing to a box in the next room, after walking there and back."""
    room = "This room is called the {}. In it, you see: \n\tthe agent\n{}You also see:\n\tA door to the {}"
    demos, subgoals = [], []
    for number in range(count):
        thing = "book" if number % 2 else "lamp"
        kitchen = room.format("kitchen", f"\ta {thing}\n", "hall")
        empty, hall = room.format("kitchen", "", "hall"), room.format("hall", "\ta box\n", "kitchen")
        nothing, held = "In your inventory, you see:\n", f"In your inventory, you see:\n\ta {thing}\n"
        steps = [
            ("look around", kitchen, kitchen, nothing, 0),
            ("go to hall", "You move to the hall.", kitchen, nothing, 0),
            ("go to kitchen", "You move to the kitchen.", hall, nothing, 0),
            (f"pick up {thing}", f"You move the {thing} to the inventory.", kitchen, nothing, 50),
            ("go to hall", "You move to the hall.", empty, held, 50),
            (f"move {thing} to box {number}", f"You move the {thing} to the box.", hall, held, 100),
        ]
        names = ("action", "observation", "look", "inventory", "score")
        key: dict[str, Any] = {"task": "carry", "variation": number}
        path = [dict(zip(names, step, strict=True)) for step in steps]
        demos.append(key | {"description": f"Your task is to carry the {thing} to box {number}.", "path": path})
        goals = [[f"find({thing})", 1], ["walk(hall, kitchen)", 2], [f"take({thing})", 1]]
        subgoals.append(key | {"subgoals": [*goals, [f"put({thing}, box {number})", 2]]})
    for name, rows in (("demos", demos), ("subgoals", subgoals)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _save_encoder(target: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    torch.manual_seed(0)
    size = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(_WORDS), **size)).save_pretrained(target)
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(target)
    (target / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    (target / "modules.json").write_text('[{"type": "sentence_transformers.models.Normalize"}]')
    (target / "1_Pooling").mkdir()
    (target / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')


def _save_language_model(target: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<|pad|>", "<|start|>", "<|end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator([" ".join(_WORDS)] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="<|pad|>", bos_token="<|start|>", eos_token="<|end|>"
    )
    tokenizer.chat_template = _CHAT
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    special_ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer), max_position_embeddings=2048, initializer_range=0.4, **size, **special_ids
    )
    LlamaForCausalLM(config).save_pretrained(target)
    tokenizer.save_pretrained(target)


class Endpoint:
    """A server on this machine that speaks the OpenAI protocol and answers with `answer`."""

    def __enter__(self) -> str:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1#small"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": answer(body["messages"])}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        told = {"id": "x", "object": "chat.completion", "created": 0, "model": "small", "usage": usage}
        told["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
        content = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
