"""`zward check`: may this configuration go live, and do all rules still recognise their samples?"""

from pathlib import Path
from typing import Any

import click

from appliance.cli.options import CONFIG_INVALID, FAILED, config_option, json_option, leave, print_json
from appliance.config.checks import warnings
from appliance.config.default import BUILT_IN
from appliance.config.faults import ConfigError
from appliance.config.load import load
from appliance.config.lockout import acts
from appliance.config.places import find
from appliance.config.rule_files import RuleError, load_rules, prove


@click.command(help="Check the configuration and let every rule prove itself on its samples.")
@config_option
@json_option
@click.argument("file", type=click.Path(path_type=Path), required=False)
def check(config: Path | None, as_json: bool, file: Path | None) -> None:
    path = find(file or config)
    try:
        loaded = load(path)
    except ConfigError as fault:
        if as_json:
            print_json({"config": str(path or BUILT_IN), "faults": str(fault).splitlines(), "warnings": []})
            raise SystemExit(CONFIG_INVALID) from None
        leave(str(fault), CONFIG_INVALID)
    try:
        files = load_rules()
        faults = prove(files)
    except RuleError as fault:
        leave(str(fault), FAILED)
    warned = warnings(loaded)
    told: dict[str, Any] = {
        "config": str(path or BUILT_IN),
        "faults": faults,
        "warnings": warned,
        "acts": acts(loaded),
        "rules": len(files.rules),
        "samples": len(files.samples),
    }
    if as_json:
        print_json(told)
    else:
        for text in faults:
            click.secho(text, err=True, fg="red")
        for text in warned:
            click.secho(f"warning: {text}", err=True, fg="yellow")
        click.echo(f"{told['config']}: valid, {len(warned)} warning{'' if len(warned) == 1 else 's'}")
        click.echo(told["acts"])
        click.echo(f"{told['rules']} rules: {told['samples'] - len(faults)} of {told['samples']} samples as expected")
    if faults:
        raise SystemExit(FAILED)
