"""Names that scripts read on a policy, and values they give to `predict`, without PyTorch (with it: test_policy_peers.py).

Broken on purpose: `predict` that returns `actions[0]` of a Discrete space (`test_an_action...` red), `predict` without
`checked_observation` (`test_predict_says...` red), `readable` that gives views which can be written to (`test_weights...` red), a
setter of `weight` that writes into the array (the same), a derived class whose own methods are not looked for, or whose layers are
not compared (`test_a_class_with...` red), `tell` without `refuse_candidates` (`test_tell...` red), and `ARS` that passes names
which it does not have to `Config` (`test_an_argument...` red).
"""

import copy
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from fastars import ARS
from fastars.ars import LinearPolicy, MlpPolicy
from fastars.training.policy import ARSLinearPolicy, ARSPolicy

SMALL = {"n_delta": 2, "seed": 3, "n_threads": 1, "noise_size": 1 << 16}


@pytest.fixture(autouse=True)
def without_torch(monkeypatch):
    """As if no test in this process had imported PyTorch."""
    monkeypatch.setitem(sys.modules, "torch", None)


class Robot(gymnasium.Env):
    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


def model(observation_space=None, action_space=None, policy="LinearPolicy", **settings):
    box = spaces.Box(-1.0, 1.0, (4,))
    return ARS(policy, Robot(observation_space or box, action_space or spaces.Discrete(2)), **SMALL, **settings)


# --- Actions and observations

BOX_0 = spaces.Box(-1.0, 1.0, ())


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3), spaces.Discrete(3, start=-2), BOX_0, spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)],
    ids=str,
)
def test_an_action_is_an_array_of_the_space(space):
    policy = model(action_space=space).policy
    one, many = policy.predict(np.zeros(4))[0], policy.predict(np.zeros((3, 4)))[0]
    assert type(one) is np.ndarray
    assert one.shape == space.shape
    assert one.dtype == many.dtype == space.dtype
    assert many.shape == (3, *space.shape)
    assert one in space


def test_environments_that_look_actions_up_still_run():
    from fastars import evaluate_policy

    lake = ARS("LinearPolicy", "FrozenLake-v1", **SMALL).learn(50)
    assert evaluate_policy(lake, "FrozenLake-v1", 2, seed=0)[0] >= 0.0


BOX, PARTS = spaces.Box(-1.0, 1.0, (4,)), spaces.Dict(a=spaces.Box(-1.0, 1.0, (4,)))
RESET, STEP = r"got \(observation, info\), as reset\(\) .*write `observation, info = env.reset\(\)`", "got all that step"


@pytest.mark.parametrize(
    ("space", "wrong", "message"),
    [
        (BOX, (np.zeros(4), {}), RESET),
        (BOX, [np.zeros(4), {"a": 1}], RESET),
        (PARTS, ({"a": np.zeros(4)}, {}), RESET),
        (spaces.Discrete(3), (2, {}), RESET),
        (spaces.Tuple([BOX, BOX]), ((np.zeros(4), np.zeros(4)), {}), RESET),
        (BOX, (np.zeros(4), 1.0, False, False, {}), f"{STEP}.. of Gymnasium"),
        (BOX, (np.zeros((1, 4)), [1.0], [False], [{}]), f"{STEP}.. of a VecEnv"),
        (BOX, {"obs": np.zeros(4)}, r"must be of the space Box.*, got a dict with the keys \['obs'\]"),
        (BOX, [[1.0, 2.0], [3.0]], r"must be of the space Box.*, got \[\[1.0, 2.0\], \[3.0\]\]"),
        (BOX, None, "must be of real numbers, got object from None"),
        (BOX, "left", "must be of real numbers"),
        (BOX, np.zeros(5), r"must have shape \(4,\) or \(n, 4\), got \(5,\)"),
        (BOX, np.zeros((2, 5)), r"must have shape \(4,\) or \(n, 4\), got \(2, 5\)"),
        (BOX, 3.0, r"must have shape \(4,\) or \(n, 4\), got \(\)"),
        (spaces.Box(-1.0, 1.0, ()), np.zeros((2, 2)), r"must have shape \(\) or \(n,\), got \(2, 2\)"),
        (PARTS, np.zeros(4), "must be of the space Dict"),
    ],
)
def test_predict_says_what_it_was_given(space, wrong, message):
    robot = model(space)
    for act in (robot.predict, robot.policy.predict, robot.policy.is_vectorized_observation):
        with pytest.raises((ValueError, TypeError), match=rf"(?s)^\w+\.\w+\(\): observation {message}|\w+\(\): .*{message}"):
            act(wrong)


def test_a_tuple_that_is_an_observation_is_one():
    pairs = model(spaces.Tuple([BOX, spaces.Dict(a=spaces.Discrete(2))]))
    assert pairs.predict((np.zeros(4), {"a": 1}))[0].shape == ()
    assert pairs.predict((np.zeros((2, 4)), {"a": np.array([0, 1])}))[0].shape == (2,)
    assert model(BOX).predict([0.0, 0.0, 0.0, 0.0])[0].shape == ()
    assert model(BOX).predict([[0.0] * 4] * 2)[0].shape == (2,)


# --- Layers


def test_a_policy_prints_its_layers():
    linear, deep = model(), model(action_space=spaces.Box(-1.0, 1.0, (2,)), policy="MlpPolicy", policy_kwargs={"net_arch": [3]})
    assert repr(linear.policy) == (
        "ARSLinearPolicy(\n  (features_extractor): FlattenExtractor(\n    (flatten): Flatten(start_dim=1, end_dim=-1)\n  )\n"
        "  (action_net): Sequential(\n    (0): Linear(in_features=4, out_features=2, bias=False)\n  )\n)"
    )
    assert [repr(layer) for layer in deep.policy.action_net] == [
        "Linear(in_features=4, out_features=3, bias=True)",
        "ReLU()",
        "Linear(in_features=3, out_features=2, bias=True)",
        "Tanh()",
    ]


def test_weights_of_layers_are_read_and_set():
    robot = model(policy="MlpPolicy", policy_kwargs={"net_arch": [3], "activation_fn": "tanh"}, zero_policy=False)
    policy, first = robot.policy, robot.policy.action_net[0]
    np.testing.assert_array_equal(first.weight, robot.theta[:12].reshape(3, 4))
    np.testing.assert_array_equal(first.weight.detach().cpu().numpy(), first.weight)
    assert (first.weight.numel(), first.bias.shape) == (12, (3,))
    assert sum(p.numel() for p in policy.parameters()) == robot.n_weights
    with pytest.raises(ValueError, match="read-only"):
        first.weight[0, 0] = 1.0
    before = robot.theta
    policy.action_net[2].bias = [5.0, 6.0]
    assert robot.theta[-2:].tolist() == [5.0, 6.0]
    assert before[-2:].tolist() != [5.0, 6.0]  # no state is written to
    assert first.weight.base is not None
    robot.learn(5)
    np.testing.assert_array_equal(first.weight, robot.theta[:12].reshape(3, 4))  # the present ones
    other = model(policy="MlpPolicy", policy_kwargs={"net_arch": [3], "activation_fn": "tanh"})
    other.policy.load_state_dict(policy.state_dict())
    np.testing.assert_array_equal(other.theta, robot.theta)
    with pytest.raises(ValueError, match=r"missing action_net.0.bias, .*; unknown nothing_like_it"):
        other.policy.load_state_dict({"nothing_like_it": 1.0})
    with pytest.raises(ValueError, match="bias can't be set"):
        model().policy.action_net[0].bias = [1.0, 2.0]


def test_attributes_of_a_policy_are_there():
    robot = model(action_space=spaces.Box(-2.0, 4.0, (1,)), policy="MlpPolicy", policy_kwargs={"net_arch": [3, 2]})
    policy = robot.policy
    assert (policy.net_arch, policy.activation_fn, policy.with_bias, policy.squash_output) == ([3, 2], "relu", True, True)
    assert (policy.features_dim, policy.features_extractor.features_dim) == (4, 4)
    assert policy.features_extractor(np.zeros((3, 2, 2))).shape == (3, 4)
    assert policy.device == robot.device == "cpu"
    assert (robot.device.type, policy.training) == ("cpu", False)
    assert policy.to("cpu").cpu().eval().train() is policy
    assert policy.unscale_action([-1.0, 1.0]).tolist() == [-2.0, 4.0]
    assert policy.scale_action([4.0]).tolist() == [1.0]
    assert not policy.is_vectorized_observation(np.zeros(4))
    assert model(policy="MlpPolicy").policy.squash_output is False  # there is nothing to squash
    copied = copy.deepcopy(policy)
    assert repr(copied) == repr(policy)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("forward", "use policy.predict"),
        ("obs_to_tensor", "use policy.predict"),
        ("optimizer", "use model.config.optimizer"),
        ("value_net", "ARS learns no values"),
    ],
)
def test_names_that_only_modules_have_say_what_to_use(name, instead):
    policy = model().policy
    assert not hasattr(policy, name)
    with pytest.raises(AttributeError, match=instead):
        getattr(policy, name)
    with pytest.raises(TypeError, match=r"can't be called: use policy.predict"):
        policy(np.zeros((1, 4)))
    with pytest.raises(AttributeError, match=r"'ARSLinearPolicy' object has no attribute 'nonsense'$"):
        policy.nonsense  # noqa: B018


# --- Classes


class Narrow(ARSPolicy):
    def __init__(self, observation_space, action_space, **kwargs):
        super().__init__(observation_space, action_space, net_arch=[observation_space.shape[0]], activation_fn="tanh", **kwargs)


class Biased(ARSLinearPolicy):
    def __init__(self, *spaces, **kwargs):
        super().__init__(*spaces, **{"with_bias": True, "squash_output": True, **kwargs})

    def helper(self):
        return 1


def test_a_class_with_other_layers_is_trained():
    box = spaces.Box(-1.0, 1.0, (2,))
    robot = model(action_space=box, policy=Narrow, policy_kwargs={"with_bias": False})
    config = robot.config
    assert (config.policy, config.net_arch, config.activation_fn, config.with_bias) == ("MlpPolicy", (4,), "tanh", False)
    assert model(action_space=box, policy=Narrow).config.squash_output
    biased = model(action_space=box, policy=Biased).config
    assert (biased.policy, biased.with_bias, biased.squash_output) == ("LinearPolicy", True, True)
    assert model(policy=LinearPolicy).config.policy == "LinearPolicy"
    assert model(policy=MlpPolicy).config.net_arch == (64, 64)
    assert isinstance(robot.policy, ARSPolicy)
    assert isinstance(model().policy, ARSLinearPolicy)
    assert model().policy_class is ARSLinearPolicy
    assert (
        robot.learn(5).theta.tobytes()
        == model(action_space=box, policy="MlpPolicy", policy_kwargs={"net_arch": [4], "activation_fn": "tanh", "with_bias": False})
        .learn(5)
        .theta.tobytes()
    )


def test_an_algorithm_may_have_names_of_its_own_for_policies():
    class Mine(ARS):
        policy_aliases = {**ARS.policy_aliases, "Narrow": Narrow}  # noqa: RUF012

    assert Mine("Narrow", Robot(BOX, spaces.Discrete(2)), **SMALL).config.net_arch == (4,)
    assert ARS.policy_aliases == {"LinearPolicy": ARSLinearPolicy, "MlpPolicy": ARSPolicy}


class Acting(Narrow):
    def act(self, observations):
        return np.zeros(len(observations), np.int64)


class Renamed(ARSPolicy):
    net_arch = [2]  # noqa: RUF012


def test_a_class_with_methods_or_layers_of_its_own_is_refused():
    with pytest.raises(ValueError, match="got Acting with a 'act' of its own, which rollouts don't run"):
        model(policy=Acting)
    with pytest.raises(ValueError, match="got Renamed with a 'net_arch' of its own"):
        model(policy=Renamed)
    with pytest.raises(ValueError, match="policy must be one of 'LinearPolicy', 'MlpPolicy', got <class 'dict'>"):
        model(policy=dict)


# --- Arguments


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 0.99}, "gamma'; ARS compares the returns of whole episodes"),
        ({"batch_size": 64}, "batch_size'; n_delta and n_eval_episodes"),
        ({"buffer_size": 1}, "buffer_size'; ARS has no replay buffer"),
        ({"ent_coef": 0.0}, "ent_coef'; ARS has no losses"),
        ({"action_noise": None}, "action_noise'; delta_std is the exploration noise"),
        ({"n_deltas": 8}, "n_deltas'; did you mean 'n_delta'"),
        ({"tensorboard_logs": "x"}, "tensorboard_logs'; did you mean 'tensorboard_log'"),
        ({"n_worker": 2}, "n_worker'; did you mean 'n_workers'"),
        ({"optimiser": "adam"}, "optimiser'; did you mean 'optimizer'"),
        ({"net_arch": [3]}, r"net_arch'; it is one of the policy: policy_kwargs=\{'net_arch': ...\}"),
        ({"zzz": 1}, "zzz'$"),
    ],
)
def test_an_argument_that_ars_does_not_have_is_named(given, message):
    with pytest.raises(TypeError, match=rf"^ARS\(\) got an unexpected keyword argument '{message}"):
        ARS("LinearPolicy", "CartPole-v1", **given)


def test_an_argument_that_the_policy_does_not_have_is_named():
    with pytest.raises(TypeError, match=r"policy_kwargs of MlpPolicy are .*; got 'netarch'; did you mean 'net_arch'"):
        model(policy="MlpPolicy", policy_kwargs={"netarch": [3]})
    with pytest.raises(TypeError, match="policy_kwargs must be a dict, got"):
        model(policy_kwargs=[3])
    for wrong in (None, 3, model()):
        with pytest.raises(TypeError, match="policy must be one of 'LinearPolicy', 'MlpPolicy', got"):
            ARS(wrong, "CartPole-v1")
    with pytest.raises(TypeError, match="verbose must be an integer"):
        model(verbose="1")
    assert model(policy="MlpPolicy", policy_kwargs={"net_arch": None}).config.net_arch == (64, 64)


@pytest.mark.parametrize("how", ["candidates and returns", "one candidate", "candidates", "pairs"])
def test_tell_of_candidates_says_how_to_call_it(how):
    robot = model()
    candidates = robot.ask()
    returns = np.arange(4.0)
    arguments = {
        "candidates and returns": (candidates, returns),
        "one candidate": (candidates[0], 1.5),
        "candidates": (candidates,),
        "pairs": (list(zip(candidates, returns, strict=True)),),
    }[how]
    with pytest.raises((TypeError, ValueError), match=r"ARS\.tell\(\): .*tell\(returns\) takes the returns alone"):
        robot.tell(*arguments)
    robot.tell(returns)  # nothing has changed
    assert robot.iteration == 1


@pytest.mark.parametrize("key", [None, "camera"])
def test_images_may_have_their_channels_last_where_the_space_has_them_first(key):
    """As in stable-baselines3. Red without it: the image is of another shape."""
    policy = ARS("LinearPolicy", "CartPole-v1", seed=0, n_delta=2).policy
    image = gymnasium.spaces.Box(0, 255, (3, 32, 34), np.uint8)
    policy.observation_space = image if key is None else gymnasium.spaces.Dict({key: image, "speed": gymnasium.spaces.Discrete(2)})
    for shape, several in (((3, 32, 34), False), ((32, 34, 3), False), ((5, 3, 32, 34), True), ((5, 32, 34, 3), True)):
        pixels = np.zeros(shape, np.uint8)
        observation = pixels if key is None else {key: pixels, "speed": np.zeros(5 if several else (), np.int64)}
        assert policy.is_vectorized_observation(observation) == several
    with pytest.raises(ValueError, match="must have shape"):
        policy.is_vectorized_observation(
            np.zeros((32, 3, 34), np.uint8) if key is None else {key: np.zeros((32, 3, 34)), "speed": 0}
        )
