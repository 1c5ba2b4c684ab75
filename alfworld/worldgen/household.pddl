; The household: one agent, receptacles at locations, objects in receptacles.
; Predicates and actions carry the names that ALFWorld's games use, so that
; programs written for those games read these.
(define (domain alfred)
 (:requirements :adl :typing)
 (:types agent location receptacle object rtype otype)
 (:predicates
  (atLocation ?a - agent ?l - location)
  (receptacleAtLocation ?r - receptacle ?l - location)
  (objectAtLocation ?o - object ?l - location)
  (receptacleType ?r - receptacle ?t - rtype)
  (objectType ?o - object ?t - otype)
  (canContain ?rt - rtype ?ot - otype)
  (inReceptacle ?o - object ?r - receptacle)
  (holds ?a - agent ?o - object)
  (holdsAny ?a - agent)
  (openable ?r - receptacle)
  (opened ?r - receptacle)
  (checked ?x - object)
  (pickupable ?o - object)
  (cleanable ?o - object)
  (heatable ?o - object)
  (coolable ?o - object)
  (toggleable ?o - object)
  (sliceable ?o - object)
  (isClean ?o - object)
  (isHot ?o - object)
  (isCool ?o - object)
  (isToggled ?o - object)
  (isSliced ?o - object))

 (:action look
  :parameters (?a - agent ?l - location)
  :precondition (atLocation ?a ?l)
  :effect (checked ?l))

 (:action inventory
  :parameters (?a - agent)
  :precondition ()
  :effect (checked ?a))
@help@
 (:action GotoLocation
  :parameters (?a - agent ?from - location ?lEnd - location ?r - receptacle)
  :precondition (and (atLocation ?a ?from) (receptacleAtLocation ?r ?lEnd))
  :effect (and (not (atLocation ?a ?from)) (atLocation ?a ?lEnd)))

 (:action examineReceptacle
  :parameters (?a - agent ?r - receptacle)
  :precondition (exists (?l - location) (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l)))
  :effect (checked ?r))

 (:action examineObject
  :parameters (?a - agent ?o - object)
  :precondition (holds ?a ?o)
  :effect (checked ?o))

 (:action OpenObject
  :parameters (?a - agent ?l - location ?r - receptacle)
  :precondition (and (openable ?r) (not (opened ?r)) (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (and (opened ?r) (checked ?r)))

 (:action CloseObject
  :parameters (?a - agent ?l - location ?r - receptacle)
  :precondition (and (openable ?r) (opened ?r) (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (not (opened ?r)))

 (:action PickupObject
  :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
  :precondition (and
    (pickupable ?o) (not (holdsAny ?a))
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l) (inReceptacle ?o ?r)
    (or (not (openable ?r)) (opened ?r)))
  :effect (and
    (holds ?a ?o) (holdsAny ?a)
    (not (inReceptacle ?o ?r)) (not (objectAtLocation ?o ?l))))

 (:action PutObject
  :parameters (?a - agent ?l - location ?o - object ?r - receptacle ?ot - otype ?rt - rtype)
  :precondition (and
    (holds ?a ?o)
    (objectType ?o ?ot) (receptacleType ?r ?rt) (canContain ?rt ?ot)
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l)
    (or (not (openable ?r)) (opened ?r)))
  :effect (and
    (inReceptacle ?o ?r) (objectAtLocation ?o ?l)
    (not (holds ?a ?o)) (not (holdsAny ?a))))

 (:action CleanObject
  :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
  :precondition (and
    (cleanable ?o) (holds ?a ?o) (receptacleType ?r SinkBasinType)
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (isClean ?o))

 (:action HeatObject
  :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
  :precondition (and
    (heatable ?o) (holds ?a ?o) (receptacleType ?r MicrowaveType)
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (and (isHot ?o) (not (isCool ?o))))

 (:action CoolObject
  :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
  :precondition (and
    (coolable ?o) (holds ?a ?o) (receptacleType ?r FridgeType)
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (and (isCool ?o) (not (isHot ?o))))

 (:action ToggleObject
  :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
  :precondition (and
    (toggleable ?o) (inReceptacle ?o ?r)
    (atLocation ?a ?l) (receptacleAtLocation ?r ?l))
  :effect (isToggled ?o))

 (:action SliceObject
  :parameters (?a - agent ?l - location ?co - object ?ko - object)
  :precondition (and
    (sliceable ?co) (objectType ?ko KnifeType) (holds ?a ?ko)
    (atLocation ?a ?l) (objectAtLocation ?co ?l))
  :effect (isSliced ?co))
)
