"""What a user writes, checked before anything starts: study files, search spaces, configurations."""

from study.spec.complaints import explain
from study.spec.configuration import (
    BenchmarkSection,
    BestConfiguration,
    BestFile,
    Configuration,
    MethodSection,
    Reference,
)
from study.spec.kinds import refuse_others
from study.spec.loading import (
    ReadStudy,
    absolute,
    find_file,
    is_file,
    load_best_file,
    load_configurations,
    load_study,
    method_names,
    parse_json,
    read_study,
    revised,
)
from study.spec.run_sections import Resources, Seeds
from study.spec.search_sections import Budget, Scheduler
from study.spec.search_space import Choice, Range, SearchSpace, load_space
from study.spec.sections import Section, digest, is_name
from study.spec.study_file import Budgeted, StudyFile
from study.spec.yaml import read_otherwise, read_text, read_yaml, to_yaml

__all__ = [
    "BenchmarkSection",
    "BestConfiguration",
    "BestFile",
    "Budget",
    "Budgeted",
    "Choice",
    "Configuration",
    "MethodSection",
    "Range",
    "ReadStudy",
    "Reference",
    "Resources",
    "Scheduler",
    "SearchSpace",
    "Section",
    "Seeds",
    "StudyFile",
    "absolute",
    "digest",
    "explain",
    "find_file",
    "is_file",
    "is_name",
    "load_best_file",
    "load_configurations",
    "load_space",
    "load_study",
    "method_names",
    "parse_json",
    "read_otherwise",
    "read_study",
    "read_text",
    "read_yaml",
    "refuse_others",
    "revised",
    "to_yaml",
]
