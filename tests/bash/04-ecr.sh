#!/usr/bin/env bash
# The two image repositories.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=config.sh
source "$(dirname "${BASH_SOURCE[0]}")/config.sh"

LIFECYCLE_POLICY='{
  "rules": [
    {
      "rulePriority": 1,
      "description": "Keep last 10 images",
      "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10},
      "action": {"type": "expire"}
    }
  ]
}'

REPOSITORIES=$(find_repositories)
for name in frontend-repo backend-repo; do
  if [[ -z $(pick "$REPOSITORIES" "$name") ]]; then
    tag_as "$name" ecr
    uri=$(text ecr create-repository --repository-name "$name" --image-scanning-configuration scanOnPush=true \
      --tags "${TAGS[@]}" --query repository.repositoryUri)
    REPOSITORIES+=$'\n'$name$'\t'$uri
    say "created repository $name"
  fi
  aws ecr put-lifecycle-policy --repository-name "$name" --lifecycle-policy-text "$LIFECYCLE_POLICY" >/dev/null
done
say "repositories are ready"
