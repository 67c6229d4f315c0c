# Turns `make bench NAME=value` into program options: --name value for each name in OPTIONS and
# PATHS. Values of PATHS are relative to the folder in which make was called. Only variables from the
# command line count. An empty value means the default, and an unknown name is an error.

given := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $v))),$(if $(strip $($v)),$v)))
unknown := $(filter-out $(OPTIONS) $(PATHS) NMT_DATA PYTHON VENV BIN,$(given))
ifneq ($(unknown),)
$(error unknown option $(unknown); known: $(OPTIONS) $(PATHS))
endif

name = --$(subst _,-,$(shell printf %s '$(1)' | tr A-Z a-z))
path = "$(if $(filter /%,$(firstword $(1))),,$(CURDIR)/)$(1)"
options = $(foreach o,$(filter $(given),$(OPTIONS)),$(call name,$o) $($o)) \
          $(foreach o,$(filter $(given),$(PATHS)),$(call name,$o) $(call path,$($o)))
