"""The fields of MuJoCo's MjModel, versions 3.3 to 4.0, sorted by what they mean for a motion.

A field that stands here in no list is one that this code has never seen: `supported.unsupported` accepts it only at its default.
"""

from typing import Any

# What starts with these moves nothing: drawings, names, notes, sensors, keyframes, and shapes of geoms that do not collide.
WITHOUT_EFFECT = (
    *("bvh_", "cam_", "hfield_", "key_", "light_", "mat_", "mesh_", "name_", "numeric_", "nuser", "oct_", "sensor_", "site_"),
    *("skin_", "tex_", "text_", "tuple_"),
)

# Parts of a model that are not supported: (number of them, what starts with its name, in words).
ABSENT = {
    "ntendon": (("tendon_", "ten_", "wrap_"), "tendon"),
    "neq": (("eq_",), "equality constraint"),
    "nflex": (("flex",), "flexible body"),
    "nplugin": (("plugin",), "plugin"),
    "npair": (("pair_",), "explicit contact pair"),
    "nmocap": ((), "mocap body"),
    "na": ((), "actuator with an activation"),
}

# Fields that the kernels read, or that `supported` looks at.
READ = """
    actuator_ctrllimited actuator_ctrlrange actuator_gainprm actuator_gear actuator_trnid body_dofadr body_dofnum body_geomadr
    body_geomnum body_inertia body_invweight0 body_ipos body_iquat body_jntadr body_jntnum body_mass body_parentid body_pos
    body_quat body_rootid body_subtreemass body_weldid dof_armature dof_bodyid dof_damping dof_invweight0 dof_jntid dof_parentid
    exclude_signature geom_bodyid geom_conaffinity geom_condim geom_contype geom_friction geom_gap geom_margin geom_pos
    geom_priority geom_quat geom_size geom_solimp geom_solmix geom_solref geom_type jnt_axis jnt_bodyid jnt_dofadr jnt_limited
    jnt_margin jnt_pos jnt_qposadr jnt_range jnt_solimp jnt_solref jnt_stiffness jnt_type nbody nexclude ngeom narena njnt nq nsite
    nu nv qpos0 qpos_spring opt.cone opt.density opt.gravity opt.integrator opt.iterations opt.ls_iterations opt.solver
    opt.timestep opt.tolerance opt.viscosity
"""

# Fields that must have one value, wherever they are: (the value, in words).
FIXED = {
    "actuator_armature": (0, "armature"),
    "actuator_biastype": (0, "a bias: it is no motor"),
    "actuator_ctrlnum": (1, "several controls"),
    "actuator_damping": (0, "damping"),
    "actuator_dampingpoly": (0, "nonlinear damping"),
    "actuator_delay": (0, "a delay"),
    "actuator_dyntype": (0, "dynamics of its own"),
    "actuator_forcelimited": (0, "a force range"),
    "actuator_gaintype": (0, "a gain that is not fixed"),
    "actuator_plugin": (-1, "a plugin"),
    "body_gravcomp": (0, "gravity compensation"),
    "body_mocapid": (-1, "mocap"),
    "body_plugin": (-1, "a plugin"),
    "geom_adhesion": (0, "adhesion"),
    "geom_fluid": (0, "fluid coefficients of its own"),
    "geom_plugin": (-1, "a plugin"),
    "geom_surfacevel": (0, "a surface velocity"),
    "jnt_actfrclimited": (0, "a force range of its actuators"),
    "jnt_actgravcomp": (0, "gravity compensation by actuators"),
    "jnt_actuatorid": (-1, "armature or damping of an actuator"),
    "jnt_plasticadr": (-1, "plasticity"),
    "jnt_springyield": (0, "a spring that yields"),
    "jnt_stiffnesspoly": (0, "a nonlinear spring"),
}
FIXED_OF_DOFS = {"dof_frictionloss": (0, "friction loss"), "dof_dampingpoly": (0, "nonlinear damping")}
FIXED_OPTIONS = {
    "opt.disableactuator": 0,
    "opt.disableflags": 0,
    "opt.impratio": 1,
    "opt.noslip_iterations": 0,
    "opt.wind": 0,
}

# Follow from other fields, or steer memory, algorithms with the same result, and what is drawn or measured.
NEUTRAL = """
    B_colind B_rowadr B_rownnz D_colind D_diag D_rowadr D_rownnz M_colind M_rowadr M_rownnz mapD2M mapM2D mapM2M actuator_acc0
    actuator_actadr actuator_actearly actuator_actlimited actuator_actnum actuator_actrange actuator_biasprm
    actuator_cranklength actuator_ctrladr actuator_ctrlspec actuator_dynprm actuator_forcerange actuator_group actuator_history
    actuator_historyadr actuator_length0 actuator_lengthrange actuator_outadr actuator_outnum actuator_trntype actuator_user
    body_bvhadr body_bvhnum body_conaffinity body_contype body_margin body_sameframe body_simple body_treeid body_user dof_M0
    dof_Madr dof_length dof_simplenum dof_solimp dof_solref dof_treeid efm0_L efm0_L_colind efm0_L_rowadr efm0_L_rownnz
    efm0_dofid efmC_perm flg_adhesion flg_gravcomp flg_surfacevel geom_aabb geom_castshadow geom_dataid geom_group geom_matid
    geom_rbound geom_rgba geom_sameframe geom_user jnt_actfrcrange jnt_group jnt_user nB nC nM nJfe nJfv nJmom nJten
    nactuator names names_map nbuffer nbvh nbvhdynamic nbvhstatic ncam nconmax nefm0L nefm0dof nefmCvert nemax
    nflexbending nflexedge nflexelem nflexelemdata nflexelemedge nflexevpair nflexnode nflexshelldata nflexstiffness
    nflextexcoord nflexvert ngravcomp nhfield nhfielddata nhistory njmax nkey nlight nmat nmesh nmeshdegmax nmeshface nmeshgraph
    nmeshnormal nmeshpoly nmeshpolymap nmeshpolyvert nmeshtexcoord nmeshvert nnames nnames_map nnumeric nnumericdata noct nout
    npaths nplastic npluginattr npluginstate npolygonmax nsensor nsensordata nskin nskinbone nskinbonevert nskinface
    nskintexvert nskinvert ntex ntexdata ntext ntextdata ntree ntuple ntupledata nuserdata nwrap paths signature tree_bodyadr
    tree_bodynum tree_dofadr tree_dofnum tree_sleep_policy opt.apirate opt.ccd_iterations opt.ccd_tolerance opt.enableflags
    opt.jacobian opt.ls_tolerance opt.magnetic opt.noslip_tolerance opt.o_friction opt.o_margin opt.o_solimp opt.o_solref
    opt.sdf_initpoints opt.sdf_iterations opt.sleep_tolerance
"""

ENTRIES_OF_D = "nD"  # codespell:ignore
LISTED = {ENTRIES_OF_D, *READ.split(), *NEUTRAL.split(), *ABSENT, *FIXED, *FIXED_OF_DOFS, *FIXED_OPTIONS}


def is_known(field: str) -> bool:
    """Return True if a field, as "body_mass" or "opt.gravity", stands in a list of this file."""
    absent = tuple(prefix for prefixes, _ in ABSENT.values() for prefix in prefixes)
    return field in LISTED or field.startswith((*WITHOUT_EFFECT, *absent))


def fields_of(mj_model: Any) -> dict[str, object]:
    """Return all fields of a model and of its options by name: "body_mass", "opt.gravity"."""
    fields = {name: getattr(mj_model, name) for name in dir(mj_model) if not name.startswith("_")}
    options = {f"opt.{name}": getattr(mj_model.opt, name) for name in dir(mj_model.opt) if not name.startswith("_")}
    shown = ("opt", "stat", "vis")  # drawing, and the scale of the solver's tolerance
    return {name: value for name, value in {**fields, **options}.items() if not callable(value) and name not in shown}
