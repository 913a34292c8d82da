"""Answer requests on a pipe: the answer to (name, arguments) is (True, what the peer's method returned) or (False, traceback)."""

import importlib
import os
import pickle
import traceback

KINDS = {
    "EnvPool": ("pools", "EnvPool"),
    "EnvPool, some at a time": ("pools", "AsyncEnvPool"),
    "PufferLib": ("puffer", "PufferLib"),
    "gymnax": ("jax_envs", "Gymnax"),
    "evosax, ask and tell": ("evolution", "AskAndTell"),
    "evosax on CartPole": ("evolution", "OnCartPole"),
}


def made(kind, settings):
    module, name = KINDS[kind]
    return getattr(importlib.import_module(f"bench.peer_side.{module}"), name)(**settings)


def main():
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a package prints does not get between the replies
    peer = None
    while True:
        try:
            name, arguments = pickle.load(requests)
        except EOFError:  # the benchmark has closed the pipe, or is gone
            return
        try:
            if name == "make":
                peer, answer = made(*arguments), None
            else:
                answer = getattr(peer, name)(*arguments)
            reply = (True, answer)
        except Exception:  # the other process raises it
            reply = (False, traceback.format_exc())
        pickle.dump(reply, replies)
        replies.flush()


if __name__ == "__main__":
    main()
