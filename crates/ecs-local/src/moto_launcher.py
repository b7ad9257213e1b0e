"""Serves moto on a free loopback port until standard input ends.

Says one JSON object on standard output: {"port": N}, or {"error": "why"}.
"""

import copy
import functools
import gc
import json
import os
import sys
import threading

WANTED = "5.2.5"


def say(**what):
    print(json.dumps(what), flush=True)


def end_with_parent():
    # Standard input is a pipe from ecs-local: it ends however ecs-local does, SIGKILL included.
    while os.read(0, 4096):
        pass
    os._exit(0)


def collect_seldom():
    """Has the garbage collector look less often: what is loaded at the start, a third of its time, is never garbage."""
    gc.set_threshold(200_000, 50, 50)


def load_once():
    """Has each API model read by one thread, for all: at the start several ask for the same one at the same moment."""
    import moto.core.utils

    load = functools.lru_cache(maxsize=None)(moto.core.utils._load_service_model)
    lock = threading.Lock()

    def load_service_model(*what):
        with lock:
            return load(*what)

    moto.core.utils._load_service_model = load_service_model


def load_no_instance_types():
    """Leaves the lists of instance types out: nothing here starts an instance, and they take a third of a second to load."""
    import moto.utilities.utils

    load = moto.utilities.utils.load_resource

    def load_resource(name):
        if name.endswith("/instance_types.json"):
            return {}
        return [] if "/instance_type_offerings/" in name else load(name)

    moto.utilities.utils.load_resource = load_resource


def load_less():
    """Has one session tell which regions there are: EC2 makes a session each time, and each reads EC2's whole API model."""
    import boto3

    session = boto3.Session()
    resolver = session._session._get_internal_component("endpoint_resolver")
    slowly = boto3.Session.get_available_regions

    @functools.lru_cache(maxsize=None)
    def regions(service, partition, non_regional):
        # These two have large models, and are called the same in the list of endpoints.
        if service in ("ec2", "rds"):
            return resolver.get_available_endpoints(service, partition, non_regional)
        return slowly(session, service, partition, non_regional)

    def get_available_regions(self, service_name, partition_name="aws", allow_non_regional=False):
        return list(regions(service_name, partition_name, allow_non_regional))

    boto3.Session.get_available_regions = get_available_regions


def keep_untagged_images():
    """Has ECR keep an image that loses its last tag to another one: moto deletes it."""
    from moto.ecr.models import ECRBackend

    put = ECRBackend.put_image

    def put_image(self, repository_name, image_manifest, image_tag, *rest):
        images = self.repositories[repository_name].images
        held = [(at, image) for at, image in enumerate(images) if image_tag and image_tag in image.image_tags]
        made = put(self, repository_name, image_manifest, image_tag, *rest)
        for at, image in held:
            if image not in images:
                image.image_tag = None
                image.image_tags = []
                images.insert(at, image)
        return made

    ECRBackend.put_image = put_image


def tell_rules_apart_without_descriptions():
    """Has EC2 find the rule for a group or a prefix list that gets another description: moto compares those, too."""
    from moto.ec2.models.security_groups import SecurityGroupRule

    equal = SecurityGroupRule.__eq__

    def bare(rule):
        rule = copy.copy(rule)
        for peer in ("source_group", "prefix_list_id"):
            named = getattr(rule, peer) or {}
            setattr(rule, peer, {key: value for key, value in named.items() if key != "Description"})
        return rule

    SecurityGroupRule.__eq__ = lambda self, other: equal(bare(self), bare(other))


def main():
    collect_seldom()
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        from importlib.metadata import version

        found = version("moto")
    except Exception:
        return say(error="moto is not installed in it")
    if found != WANTED:
        return say(error=f"it has moto {found}, and ecs-local needs {WANTED}")
    try:
        import moto.core.responses
        import moto.core.utils

        # Both answers never change, and moto works them out again for every request: half of its time.
        names = functools.lru_cache(maxsize=None)(moto.core.utils.method_names_from_class)
        moto.core.utils.method_names_from_class = names
        moto.core.responses.method_names_from_class = names
        for less in (load_once, load_no_instance_types, load_less):
            try:
                less()
            except Exception:
                # It only makes the start faster, and leans on the insides of moto and botocore.
                pass
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import WSGIRequestHandler, make_server
    except ImportError as error:
        return say(error=f"{error} (moto's server needs flask and flask-cors)")
    except Exception as error:
        return say(error=repr(error))

    class Dispatcher(DomainDispatcherApplication):
        get_backend_for_host = functools.lru_cache(maxsize=None)(DomainDispatcherApplication.get_backend_for_host)

    def create_app(service):
        app = create_backend_app(service)
        if service == "applicationautoscaling":
            # It would look in moto's own ECS, which is never used; ecs-local has looked in its model.
            from moto.applicationautoscaling.models import ApplicationAutoscalingBackend

            ApplicationAutoscalingBackend._ecs_service_exists_for_target = lambda *_: True
        elif service == "ec2":
            tell_rules_apart_without_descriptions()
        elif service == "ecr":
            keep_untagged_images()
        return app

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def log(self, *_):
            pass

    server = make_server("127.0.0.1", 0, Dispatcher(create_app), threaded=True, request_handler=Handler)
    server.daemon_threads = True
    say(port=server.port)
    server.serve_forever()


main()
